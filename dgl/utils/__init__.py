"""General tools: files, threads, devices, tables and graphs."""

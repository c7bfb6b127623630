"""Files, threads, devices and other tools that know nothing of localization."""

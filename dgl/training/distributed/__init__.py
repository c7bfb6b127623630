"""Training in several processes with Horovod."""

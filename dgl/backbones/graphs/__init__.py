"""The networks as TensorFlow graphs: importing one loads TensorFlow, a registry entry does not."""

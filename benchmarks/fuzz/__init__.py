"""Coverage-guided fuzzing of everything that reads a file from outside.

The targets need nothing but the package and its tests; only the runs need Atheris, Google's
coverage-guided fuzzer for Python (https://github.com/google/atheris).
"""

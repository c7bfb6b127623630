"""Small folders of files for the tests of data layouts."""


def make(root, files):
    """Write relative path -> text below ``root`` (a ``pathlib.Path``); returns it as str."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)

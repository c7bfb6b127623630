"""A checkpoint's fingerprint is of all its files and of no other's."""

from dgl.utils.files import weights_fingerprint


def test_weights_have_the_fingerprint_of_all_their_files(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"weights")
    alone = weights_fingerprint(str(tmp_path / "model.npz"))
    (tmp_path / "model.npz").write_bytes(b"Weights")
    assert weights_fingerprint(str(tmp_path / "model.npz")) != alone
    for name in ("model-1.index", "model-1.data-00000-of-00001", "model-10.index"):
        (tmp_path / name).write_bytes(name.encode())
    before = weights_fingerprint(str(tmp_path / "model-1"))
    (tmp_path / "model-10.index").write_bytes(b"of another checkpoint")
    assert weights_fingerprint(str(tmp_path / "model-1")) == before
    (tmp_path / "model-1.data-00000-of-00001").write_bytes(b"changed")
    assert weights_fingerprint(str(tmp_path / "model-1")) != before
    assert weights_fingerprint(str(tmp_path / "nothing")) != before

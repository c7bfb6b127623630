"""Images, masks and score maps."""

import io

import numpy as np
from PIL import Image

from benchmarks.fuzz.target import Target, each, joined, place, place_parts
from dgl.data.annotations import read_mask
from dgl.data.image_io import read_image
from dgl.evaluation.saved_maps import read_map

_SIDE = 224


def _image(data, folder):
    image = read_image(place(folder, "a.img", data))
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size
    assert image.flags.writeable and image.flags.c_contiguous


def _encoded(mode, kind, **options):
    stream = io.BytesIO()
    pixels = np.arange(5 * 7 * 4, dtype=np.uint8).reshape(5, 7, 4)
    if mode == "I;16":
        image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 300)
    else:
        image = Image.fromarray(pixels[:, :, :3]).convert(mode)
    image.save(stream, kind, **options)
    return stream.getvalue()


def _image_seeds():
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = [
        ("RGB", "PNG", {}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {"transparency": 3}),
        ("I;16", "PNG", {}),
        ("1", "PNG", {}),
        ("RGB", "JPEG", {"exif": exif.tobytes()}),
        ("CMYK", "JPEG", {}),
        ("L", "JPEG", {"progressive": True}),
        ("RGB", "BMP", {}),
        ("P", "GIF", {}),
        ("RGB", "TIFF", {}),
        ("RGB", "TIFF", {"compression": "tiff_lzw"}),
        ("F", "TIFF", {}),
        ("RGB", "WEBP", {}),
        ("RGBA", "WEBP", {"lossless": True}),
        ("RGB", "PPM", {}),
        ("L", "PPM", {}),
        ("RGB", "JPEG2000", {}),
    ]
    frames = [Image.new("P", (3, 2), color) for color in (1, 2)]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return [_encoded(mode, kind, **options) for mode, kind, options in plain] + [
        stream.getvalue(),
        b"P3 2 1 255 1 2 3 4 5 6\n",
    ]


def _mask(data, folder):
    place_parts(folder, ("a.png", "b.png", "i.png"), data)
    places = [f"{folder}/{name}.png" for name in "abi"]

    def call(paths, ignore):
        mask = read_mask(paths, ignore, 8)
        assert mask.shape == (8, 8) and mask.dtype == np.uint8
        assert np.isin(mask, (0, 1, 255)).all()

    each(
        lambda args=args: call(*args)
        for args in ((places[:1], None), (places[:2], None), (places[:2], places[2]))
    )


def _mask_seeds():
    parts = [_encoded("L", "PNG"), _encoded("1", "PNG"), _encoded("P", "PNG")]
    return [joined(*parts), joined(parts[1], parts[1]), parts[0], _encoded("RGB", "BMP")]


def _score_map(data, folder):
    """The input is a header; the numbers behind it would only take the fuzzer's time."""

    def call(tail):
        found = read_map(place(folder, "a.npy", data + tail))
        assert found.shape == (_SIDE, _SIDE) and 0 <= found.min() <= found.max() <= 1

    numbers = bytes(8 * _SIDE * _SIDE)
    each(lambda tail=tail: call(tail) for tail in (b"", numbers))


def _map_seeds():
    seeds = []
    for kind in ("f2", "f4", "f8", ">f4", "u1", "O"):
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            stream, {"descr": "|O" if kind == "O" else kind, "fortran_order": False,
                     "shape": (_SIDE, _SIDE)}
        )  # fmt: skip
        seeds.append(stream.getvalue())
    two = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        two, {"descr": "<f8", "fortran_order": True, "shape": (_SIDE, _SIDE)}
    )
    small = io.BytesIO()
    np.save(small, np.zeros((2, 3), np.float32))
    return seeds + [two.getvalue(), small.getvalue()]


_HEADER = (b"'descr': ", b"'fortran_order': ", b"'shape': ", b"(224, 224)", b"'<f8'", b"'|O'",
           b"[('a', '<f4')]", b"True", b"((((", b"[[[[", b"'V0'", b"\x93NUMPY", b"PK\x03\x04")  # fmt: skip

TARGETS = (
    Target("image", _image, _image_seeds, (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"Exif\0\0",
           b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"MM\0*", b"P6", b"BM", b"RIFF", b"WEBP")),
    Target("mask", _mask, _mask_seeds, (b"IHDR", b"IDAT", b"tRNS")),
    Target("score_map", _score_map, _map_seeds, _HEADER, 512),
)  # fmt: skip

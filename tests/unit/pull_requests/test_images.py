"""Images are decoded and encoded again: only their pixels remain, and anything but a small PNG is left out."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from delivery.pull_requests import images
from delivery.pull_requests.images import Budget, re_encode, reencoded


def png(size: tuple[int, int] = (20, 10), colour: str = "#2477e8", text: str = "") -> bytes:
    about = PngImagePlugin.PngInfo()
    if text:
        about.add_text("Comment", text)
    Image.new("RGBA", size, colour).save(buffer := io.BytesIO(), format="png", pnginfo=about)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header claims too many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99_999))) + chunk(b"IEND", b"")
    )


def pixel(content: bytes) -> tuple[int, ...]:
    with Image.open(io.BytesIO(content)) as image:
        found = image.convert("RGBA").getpixel((3, 3))
    assert isinstance(found, tuple)
    return found


def test_only_the_pixels_remain() -> None:
    content = png(text="<script>evil</script>") + b"<svg onload=alert(1)>"
    made = re_encode(content)
    assert b"script" not in made
    assert b"svg" not in made
    assert pixel(made) == pixel(content) == (0x24, 0x77, 0xE8, 255)
    with Image.open(io.BytesIO(made)) as image:
        assert (image.format, image.size, image.info.get("Comment")) == ("PNG", (20, 10), None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is no PNG"),
        (b"<svg onload=alert(1)>", "it is no PNG"),
        (b"\x89PNG\r\n\x1a\n" + bytes(8) + (9).to_bytes(4) + (9).to_bytes(4), "it is no PNG"),
        (png()[: len(png()) // 2], "it is no PNG"),
        (bomb(60_000, 60_000), "it has more than 8,000,000 pixels"),
        (bomb(4_000, 2_001), "it has more than 8,000,000 pixels"),
    ],
    ids=["empty", "svg", "a head without a body", "cut", "bomb", "a little too large"],
)
def test_anything_but_a_small_png_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        re_encode(content)


def test_another_format_under_the_name_of_a_png_is_refused() -> None:
    Image.new("RGB", (9, 9)).save(buffer := io.BytesIO(), format="gif")
    with pytest.raises(ValueError, match="^it is no PNG$"):
        re_encode(buffer.getvalue())


def test_an_image_that_is_left_out_is_named_with_the_reason(folder: Path) -> None:
    Path("good.png").write_bytes(png())
    Path("huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(9_000_000))
    Path("page.png").write_text("<svg onload=alert(1)>")
    Path("link.png").symlink_to("good.png")
    Path("$(touch pwned).png").write_bytes(png())
    names = ["good", "good", "huge", "page", "link", "absent", "$(touch pwned)", "../x"]
    kept, left_out = reencoded(Path(), names, Budget())
    assert list(kept) == ["good"]
    assert left_out == {
        "huge": "it has more than 400,000 bytes",
        "page": "it is no PNG",
        "link": "it is not among the plots",
        "absent": "it is not among the plots",
        "$(touch pwned)": "it is not among the plots",
        "../x": "it is not among the plots",
    }


def test_all_reports_of_a_run_share_one_budget(folder: Path) -> None:
    for name in ("a", "b", "c"):
        Path(f"{name}.png").write_bytes(png())
    size = len(re_encode(png()))
    budget = Budget(count=9, size=2 * size)
    assert list(reencoded(Path(), ["a"], budget)[0]) == ["a"]
    kept, left_out = reencoded(Path(), ["b", "c"], budget)
    assert list(kept) == ["b"]
    assert left_out == {"c": "the images of a run have 2 MB in all"}
    assert reencoded(Path(), ["a", "b"], Budget(count=1))[1] == {"b": "there are too many"}
    assert Budget().size == 2_000_000


def test_a_folder_that_is_a_link_has_no_plots(folder: Path) -> None:
    Path("real").mkdir()
    Path("real/a.png").write_bytes(png())
    Path("plots").symlink_to("real")
    assert reencoded(Path("plots"), ["a"], Budget())[0] == {}


def test_a_store_without_images_is_not_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images.store, "push", lambda *_, **__: pytest.fail("pushed"))
    assert images.publish({}, "key") == {}

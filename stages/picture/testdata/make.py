"""Makes the HEIC and AVIF files beside this script: `pip install pillow pillow-heif`, then run it here.

The picture is that of the tests: 96 × 64 pixels, left half red, right half blue, a green stripe along the top; greys come from
a ramp. They are checked in because no encoder for them is among the project's dependencies.
"""

import io

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()


def marked():
    image = Image.new("RGB", (96, 64))
    for x in range(96):
        for y in range(64):
            image.putpixel((x, y), (0, 255, 0) if y < 8 else (255, 0, 0) if x < 48 else (0, 0, 255))
    return image


picture = marked()
on_its_side = picture.transpose(Image.Transpose.ROTATE_90)  # what a phone stores with orientation 6
exif = Image.Exif()
exif[0x0112] = 6
with_alpha = picture.copy()
with_alpha.putalpha(Image.linear_gradient("L").resize(picture.size))
grey = Image.linear_gradient("L").resize((64, 64))

picture.save("plain.heic", quality=90)
on_its_side.save("turned.heic", quality=90, exif=exif.tobytes())
with_alpha.save("alpha.heic", quality=90)
deep = pillow_heif.from_bytes("RGB;16", (96, 64), b"".join(v.to_bytes(2, "little") for p in picture.get_flattened_data() for v in (c * 257 for c in p)))
deep.save("deep.heic", quality=90)

picture.save("plain.avif", quality=90)
on_its_side.save("turned.avif", quality=90, exif=exif)
with_alpha.save("alpha.avif", quality=90)
picture.save("limited-444.avif", quality=90, range="limited", subsampling="4:4:4")
picture.save("odd-422.avif", quality=90, subsampling="4:2:2")
grey.save("grey.avif", quality=90)
picture.save("animated.avif", quality=90, save_all=True, append_images=[Image.new("RGB", picture.size, "white")] * 2)

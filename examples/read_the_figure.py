"""Fig. 1 of U-Net 2015 from its layer list: sizes, crops, margin, legal tiles."""

from __future__ import annotations

from ushape.geometry.axis import Axis
from ushape.models.unet import UNet, along_axis


def main() -> None:
    x, copies = Axis.of_input(572), []
    for level in range(5):
        x = (x if level == 0 else x.pool(2)).conv(3).conv(3)
        copies.append(x)
        print(f"contracting, level {level}: {x.size} px, stride {x.stride}, receptive field {x.receptive_field}")
    for level in (3, 2, 1, 0):
        x = x.up(2)
        crop = copies[level].crop_onto(x)
        print(f"expanding, level {level}: {x.size} px, the copied map is cropped by {crop} px a side")
        x = x.join(copies[level]).conv(3).conv(3)
    assert x == along_axis(Axis.of_input(572), depth=4, padding="valid")

    footprint = UNet(width=1).footprint
    print(f"572 → {x.size}; margin {footprint.margin}; for an answer of 388 px the input is {footprint.input_for(388)}")
    print(f"an input of 512 px is not legal; the nearest are {footprint.nearest_legal(512)}")


if __name__ == "__main__":
    main()

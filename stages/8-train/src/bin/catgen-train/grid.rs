//! Tensors to pictures: one each, or all on a sheet.

use std::{io, path::Path};

use catgen_api::Picture;
use catgen_picture::{RgbImage, encode_png};
use tch::{Device, Kind, Tensor};

use crate::{
    network::{Mode, Network},
    record,
    rng::{self, Purpose},
};

/// How many pictures of a grid are drawn at once: bounds the memory.
const AT_ONCE: usize = 64;

/// −1..1 to bytes, rounded: the shape stays.
pub(crate) fn to_bytes(pictures: &Tensor) -> Tensor {
    ((pictures + 1.0) * 127.5).round().clamp(0, 255).to_kind(Kind::Uint8).to_device(Device::Cpu)
}

/// The latents of a training's grids: [count, latent], the same for every epoch and after every restart.
pub(crate) fn latents(seed: u64, count: u64, latent: u64, device: Device) -> Tensor {
    let numbers: Vec<f32> = (0..count).flat_map(|place| rng::normals(seed, Purpose::Grid, place, latent as usize)).collect();
    Tensor::from_slice(&numbers).view([count as i64, latent as i64]).to_device(device)
}

/// What the generator makes of `latents` ([N, Z]): bytes, [N, 3, S, S].
pub(crate) fn draw(generator: &Network, latents: &Tensor) -> Tensor {
    let draw = |part: &Tensor| to_bytes(&generator.forward(part, Mode::Eval));
    let parts: Vec<Tensor> = tch::no_grad(|| latents.split(AT_ONCE as i64, 0).iter().map(draw).collect());
    Tensor::cat(&parts, 0)
}

/// One picture of bytes: [3, H, W].
pub(crate) fn picture(bytes: &Tensor) -> Picture {
    let [_, height, width] = bytes.size()[..] else { panic!("a picture has three dimensions") };
    let pixels = Vec::<u8>::try_from(bytes.permute([1, 2, 0]).to_device(Device::Cpu).reshape([-1])).expect("bytes are bytes");
    Picture::Rgb(RgbImage::from_raw(width as u32, height as u32, pixels).expect("the tensor has as many bytes as its sides say"))
}

/// All pictures of [N, 3, S, S] on one sheet, row by row, about as wide as high, without gaps, white where none is left.
pub(crate) fn sheet(pictures: &Tensor) -> Picture {
    let [count, _, height, width] = pictures.size()[..] else { panic!("pictures have four dimensions") };
    let columns = (count as f64).sqrt().ceil() as i64;
    let rows = (count + columns - 1) / columns;
    let white = Tensor::full([rows * columns - count, 3, height, width], 255, (Kind::Uint8, Device::Cpu));
    let all = Tensor::cat(&[pictures.to_device(Device::Cpu), white], 0); // [rows · columns, 3, S, S]
    let all = all.view([rows, columns, 3, height, width]).permute([2, 0, 3, 1, 4]); // [3, rows, S, columns, S]
    picture(&all.reshape([3, rows * height, columns * width]))
}

/// Writes a picture as PNG; the file is whole or not there.
pub(crate) fn write(path: &Path, picture: &Picture) -> io::Result<()> {
    record::write(path, &encode_png(picture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_every_picture_in_its_place() {
        // Picture k has the grey 10 k, its first pixel red.
        let pictures = Tensor::arange(5, (Kind::Uint8, Device::Cpu)).view([5, 1, 1, 1]).repeat([1, 3, 4, 4]) * 10;
        pictures.narrow(2, 0, 1).narrow(3, 0, 1).copy_(&Tensor::from_slice(&[255u8, 0, 0]).view([1, 3, 1, 1]));
        let Picture::Rgb(sheet) = sheet(&pictures) else { panic!() };
        assert_eq!(sheet.dimensions(), (12, 8));
        for place in 0..6u32 {
            let (x, y) = (place % 3 * 4, place / 3 * 4);
            let (first, inside) = (sheet.get_pixel(x, y).0, sheet.get_pixel(x + 1, y + 2).0);
            let (grey, corner) = if place < 5 { (place as u8 * 10, [255, 0, 0]) } else { (255, [255; 3]) };
            assert_eq!((first, inside), (corner, [grey; 3]), "picture {place}");
        }
    }

    #[test]
    fn bytes_are_rounded_and_bounded() {
        let bytes = to_bytes(&Tensor::from_slice(&[-1.2f32, -1.0, -0.998, 0.0, 0.999, 1.0, 1.3]));
        assert_eq!(Vec::<u8>::try_from(bytes).unwrap(), [0, 0, 0, 128, 255, 255, 255]);
    }

    #[test]
    fn a_grids_latents_do_not_depend_on_how_many_there_are() {
        assert_eq!(latents(1, 9, 5, Device::Cpu).narrow(0, 0, 4), latents(1, 4, 5, Device::Cpu));
    }
}

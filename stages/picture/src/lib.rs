//! Pictures in memory, and the only place in the project where picture files are read, written and resized.
//!
//! What is promised everywhere else:
//! * a [`Picture`] is upright: EXIF orientation was applied when it was decoded;
//! * it is 8 bits a channel, RGB, or RGBA with **straight** alpha;
//! * resizing works on premultiplied alpha, so colours from under transparent pixels never bleed out;
//! * a file that cannot be decoded is an error whose words a photographer understands, before memory is allocated for it.

mod decode;
mod encode;
mod format;
mod picture;
mod regions;
mod resize;

pub use decode::{DecodeError, Decoded, Probe, VERSION, decode, probe};
pub use encode::{encode_jpeg, encode_png};
pub use format::Format;
pub use image::{GrayImage, Luma, Rgb, RgbImage, Rgba, RgbaImage, imageops::crop_imm};
pub use picture::Picture;
pub use regions::{Regions, regions};
pub use resize::{Filter, crop_resize, fit_within, resize, resize_bicubic};

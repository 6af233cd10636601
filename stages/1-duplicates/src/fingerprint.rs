//! `Fingerprint`: what is remembered of a photo to tell whether another one shows the same.

use std::borrow::Cow;

use catgen_api::{Facts, Picture};
use catgen_picture::{Filter, GrayImage, Rgb, fit_within, resize};
use img_hash::{HashAlg, Hasher, HasherConfig};
use serde::{Deserialize, Serialize, de::Error as _};

use crate::align::{self, Thumbnails};

/// The longest side, in pixels, at which photos are looked at: a 12 MP JPEG is decoded at 1/8 for it.
///
/// It is fixed because sharpness is only comparable between pictures of one size.
pub const WORKING_SIDE: u32 = 512;

/// Side of the square that hash and thumbnails are made from: what is finer than its pixels is in none of them.
const SQUARE: u32 = 128;

/// Side of the luma thumbnail, in pixels: a crop of 5 % moves its edges by 1.6 of them.
pub(crate) const LUMA_SIDE: usize = 32;

/// Side of the colour thumbnail, in pixels.
const COLOUR_SIDE: u32 = 4;

/// Below this standard deviation of luma (levels of 255) a picture has no detail and its hash is noise.
const FLAT: f64 = 4.0;

/// Which hash; the first two families are described at <http://www.hackerfactor.com/blog/> (2011 and 2013), blockhash
/// in Yang, Gu, Niu, "Block mean value based image perceptual hashing" (2006).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hashing {
    /// Which of the lowest frequencies of the DCT are above their median.
    Phash,
    /// Whether each pixel of a small copy is brighter than its left neighbour.
    Gradient,
    /// Whether each pixel of a small copy is brighter than the one above.
    VertGradient,
    /// Both gradients of a smaller copy.
    DoubleGradient,
    /// Which blocks of the picture are brighter than the median of their band.
    Blockhash,
}

/// A hash with its tables, ready for any number of pictures.
pub struct Hash(Hasher);

impl Hash {
    /// `hashing` of `side` × `side` bits.
    pub fn new(hashing: Hashing, side: u32) -> Self {
        let config = HasherConfig::new().hash_size(side, side);
        let config = match hashing {
            Hashing::Phash => config.hash_alg(HashAlg::Median).preproc_dct(),
            Hashing::Gradient => config.hash_alg(HashAlg::Gradient),
            Hashing::VertGradient => config.hash_alg(HashAlg::VertGradient),
            Hashing::DoubleGradient => config.hash_alg(HashAlg::DoubleGradient),
            Hashing::Blockhash => config.hash_alg(HashAlg::Blockhash),
        };
        Self(config.to_hasher())
    }

    /// The fingerprint of a picture of any size; transparent parts count as white.
    pub fn fingerprint(&self, picture: &Picture) -> Fingerprint {
        let picture = fit_within(Cow::Owned(Picture::Rgb(picture.over(Rgb([255; 3])).into_owned())), Some(WORKING_SIDE));
        let luma = picture.luma();
        let square = resize(&picture, SQUARE, SQUARE, Filter::Bilinear);
        let thumbnail = resize(&square, LUMA_SIDE as u32, LUMA_SIDE as u32, Filter::Bilinear);
        let colour = resize(&thumbnail, COLOUR_SIDE, COLOUR_SIDE, Filter::Bilinear);
        Fingerprint {
            hash: self.0.hash_image(&square.luma()).as_bytes().to_vec(),
            sharpness: (sharpness(&luma) * 100.0).round() / 100.0,
            flat: deviation(&luma) < FLAT,
            luma: thumbnail.luma().into_raw(),
            half: Vec::new(),
            colour: colour.over(Rgb([255; 3])).into_owned().into_raw(),
        }
        .halved()
    }
}

/// What is remembered of a photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The perceptual hash: 8 bits a byte.
    #[serde(with = "hex")]
    hash: Vec<u8>,
    /// Variance of the Laplacian of luma (levels²) at [`WORKING_SIDE`]: higher is sharper (Pech-Pacheco et al., 2000).
    pub sharpness: f64,
    /// Whether the picture has next to no detail, so that its hash means nothing.
    pub flat: bool,
    /// The picture's luma as 32 × 32 pixels.
    #[serde(with = "hex")]
    luma: Vec<u8>,
    /// The same as 16 × 16 pixels.
    #[serde(skip)]
    half: Vec<u8>,
    /// The picture as 4 × 4 pixels, RGB.
    #[serde(with = "hex")]
    colour: Vec<u8>,
}

impl Fingerprint {
    /// With the thumbnail halved, which is looked at most.
    fn halved(mut self) -> Self {
        let side = LUMA_SIDE / 2;
        let half = (0..side * side).map(|at| {
            let top = 2 * (at / side) * LUMA_SIDE + 2 * (at % side);
            let four = [top, top + 1, top + LUMA_SIDE, top + LUMA_SIDE + 1].map(|at| u16::from(self.luma[at]));
            ((four.iter().sum::<u16>() + 2) / 4) as u8
        });
        self.half = half.collect();
        self
    }

    /// As facts: the form in which it is cached.
    pub fn to_facts(&self) -> Facts {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(facts)) => facts,
            _ => unreachable!("a struct of numbers and texts is a JSON object"),
        }
    }

    /// Back from facts.
    ///
    /// # Errors
    /// Facts that [`Fingerprint::to_facts`] did not write.
    pub fn from_facts(facts: &Facts) -> Result<Self, serde_json::Error> {
        let read = Self::deserialize(facts)?;
        let lengths = (read.hash.len(), read.luma.len(), read.colour.len());
        if !matches!(lengths, (1..=32, 1024, 48)) {
            return Err(serde_json::Error::custom(format!("lengths {lengths:?} are impossible")));
        }
        Ok(read.halved())
    }

    /// The hash in hexadecimal.
    pub fn hash_text(&self) -> String {
        hex::text(&self.hash)
    }

    /// How many bits the hash has.
    pub fn bits(&self) -> usize {
        8 * self.hash.len()
    }

    /// The hash as `W` words, missing bits zero.
    pub(crate) fn words<const W: usize>(&self) -> [u64; W] {
        let mut words = [0; W];
        for (at, byte) in self.hash.iter().enumerate().take(8 * W) {
            words[at / 8] |= u64::from(*byte) << (8 * (at % 8));
        }
        words
    }

    /// In how many bits the hashes differ.
    pub fn distance(&self, other: &Self) -> u32 {
        self.hash.iter().zip(&other.hash).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// How alike the luma thumbnails are as they lie: Pearson correlation at 16 × 16 pixels, 1 for the same picture, whatever its
    /// brightness and contrast.
    pub fn correlation(&self, other: &Self) -> f64 {
        let (mut a, mut b, mut aa, mut bb, mut ab) = (0u32, 0, 0u32, 0, 0);
        for (x, y) in self.half.iter().zip(&other.half).map(|(x, y)| (u32::from(*x), u32::from(*y))) {
            (a, b, aa, bb, ab) = (a + x, b + y, aa + x * x, bb + y * y, ab + x * y);
        }
        let (n, [a, b, aa, bb, ab]) = (self.half.len() as f64, [a, b, aa, bb, ab].map(f64::from));
        let spread = ((n * aa - a * a) * (n * bb - b * b)).sqrt();
        if spread > 0.0 { (n * ab - a * b) / spread } else { 0.0 }
    }

    /// How alike the luma thumbnails are once one is moved and stretched by up to a tenth onto the other: Pearson correlation at
    /// 32 × 32 pixels over what both show.
    pub fn aligned_correlation(&self, other: &Self) -> f64 {
        align::aligned(&Thumbnails::new(&self.luma, &self.half), &Thumbnails::new(&other.luma, &other.half))
    }

    /// Mean difference of the colour thumbnails after the grey of each pixel is taken off (levels of 255).
    pub fn colour_difference(&self, other: &Self) -> f64 {
        let chroma = |pixel: &[u8; 3]| {
            let grey = pixel.iter().map(|value| f64::from(*value)).sum::<f64>() / 3.0;
            pixel.map(|value| f64::from(value) - grey)
        };
        let pixels = self.colour.as_chunks::<3>().0.iter().zip(other.colour.as_chunks::<3>().0);
        let differences = pixels.flat_map(|(a, b)| chroma(a).into_iter().zip(chroma(b)).map(|(a, b)| (a - b).abs()));
        differences.sum::<f64>() / self.colour.len() as f64
    }

    /// For a picture without detail, whether the other one is equal but for encoding noise; `None` if both have detail.
    pub(crate) fn same_flat(&self, other: &Self, difference: u8) -> Option<bool> {
        let values = |of: &Self| of.luma.iter().chain(&of.colour).copied().collect::<Vec<u8>>();
        (self.flat || other.flat).then(|| values(self).into_iter().zip(values(other)).all(|(a, b)| a.abs_diff(b) <= difference))
    }
}

/// Standard deviation of luma.
fn deviation(luma: &GrayImage) -> f64 {
    variance(luma.as_raw().iter().map(|value| f64::from(*value))).sqrt()
}

/// Variance of the 4-neighbour Laplacian; 0 for what is narrower than three pixels.
fn sharpness(luma: &GrayImage) -> f64 {
    let width = luma.width() as usize;
    let pixels = luma.as_raw();
    let rows = (1..(luma.height() as usize).saturating_sub(1)).map(|y| y * width);
    variance(rows.flat_map(|row| {
        let inner = row + 1..(row + width.saturating_sub(1)).max(row + 1);
        inner.map(|at| {
            let around = [at - 1, at + 1, at - width, at + width].into_iter().map(|at| i32::from(pixels[at])).sum::<i32>();
            f64::from(4 * i32::from(pixels[at]) - around)
        })
    }))
}

/// Variance of whole-numbered values, in one pass: the sums are exact.
fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (count, sum, squares) = values.fold((0.0, 0.0, 0.0), |(n, sum, squares), value| (n + 1.0, sum + value, squares + value * value));
    if count == 0.0 { 0.0 } else { (squares - sum * sum / count) / count }
}

/// Bytes as hexadecimal text in JSON.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn text(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.filter(|_| text.len().is_multiple_of(2)).ok_or_else(|| D::Error::custom(format!("{text:?} is not hexadecimal")))
    }
}

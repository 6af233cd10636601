//! `Animation`: a GIF, frame by frame. What has at most 256 colours keeps them exactly; photos get the 256 that suit each frame.
//!
//! Of every frame only the rectangle is stored in which it differs from the one before.

use std::io::{self, Write};

use catgen_picture::{RgbImage, crop_imm};
use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};
use rayon::prelude::*;

/// How thoroughly the colours of a photo are chosen, 1 to 30: 10 is NeuQuant's own advice between time and looks.
const SPEED: i32 = 10;

/// A GIF that is being written; it repeats for ever.
pub struct Animation<W: Write> {
    encoder: Encoder<W>,
    size: [u32; 2],
    last: Option<RgbImage>,
}

impl<W: Write> Animation<W> {
    /// Begins one of so many pixels; a GIF holds up to 65,535 each way.
    ///
    /// # Errors
    /// It is larger, or writing fails.
    pub fn new(out: W, [width, height]: [u32; 2]) -> io::Result<Self> {
        let side = |side: u32| u16::try_from(side).map_err(|_| io::Error::other("a GIF cannot be that large"));
        let mut encoder = Encoder::new(out, side(width)?, side(height)?, &[]).map_err(failed)?;
        encoder.set_repeat(Repeat::Infinite).map_err(failed)?;
        Ok(Self { encoder, size: [width, height], last: None })
    }

    /// Adds frames, each shown for so many hundredths of a second. They are prepared on all cores, so give several at once.
    ///
    /// # Errors
    /// A frame of another size, or writing fails.
    pub fn add(&mut self, frames: &[(RgbImage, u16)]) -> io::Result<()> {
        if frames.iter().any(|(picture, _)| [picture.width(), picture.height()] != self.size) {
            return Err(io::Error::other("all frames of a GIF have one size"));
        }
        let before = std::iter::once(self.last.as_ref()).chain(frames.iter().map(|(picture, _)| Some(picture)));
        let pairs: Vec<_> = before.zip(frames).collect();
        let prepare = |(before, (picture, hundredths)): &(Option<&RgbImage>, &(RgbImage, u16))| prepare(*before, picture, *hundredths);
        let prepared: Vec<Frame<'static>> = pairs.par_iter().map(prepare).collect();
        prepared.iter().try_for_each(|frame| self.encoder.write_lzw_pre_encoded_frame(frame).map_err(failed))?;
        self.last = frames.last().map(|(picture, _)| picture.clone()).or(self.last.take());
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// Writing fails.
    pub fn finish(self) -> io::Result<W> {
        self.encoder.into_inner().map_err(failed)
    }
}

fn prepare(before: Option<&RgbImage>, picture: &RgbImage, hundredths: u16) -> Frame<'static> {
    let side = |side: u32| u16::try_from(side).expect("checked when the animation was begun");
    let ([left, top], [width, height]) = changed(before, picture);
    let part = crop_imm(picture, left, top, width, height).to_image();
    let mut frame = Frame::from_rgb_speed(side(width), side(height), part.as_raw(), SPEED);
    (frame.left, frame.top) = (side(left), side(top));
    frame.delay = hundredths;
    frame.dispose = DisposalMethod::Keep;
    frame.make_lzw_pre_encoded();
    frame
}

/// The smallest rectangle outside of which two pictures are equal: its corner and its sides, at least one pixel.
fn changed(before: Option<&RgbImage>, picture: &RgbImage) -> ([u32; 2], [u32; 2]) {
    let Some(before) = before else { return ([0, 0], [picture.width(), picture.height()]) };
    let differ = picture.enumerate_pixels().zip(before.pixels()).filter(|((_, _, now), then)| now != then);
    let bounds = differ.fold(None, |bounds: Option<[u32; 4]>, ((x, y, _), _)| {
        let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    });
    let [left, top, right, bottom] = bounds.unwrap_or_default();
    ([left, top], [right - left + 1, bottom - top + 1])
}

fn failed(error: EncodingError) -> io::Error {
    match error {
        EncodingError::Io(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use catgen_picture::Rgb;

    use super::*;

    /// The frames of a GIF as they are seen, and how long each is.
    pub(crate) fn read(bytes: &[u8]) -> Vec<(RgbImage, u16)> {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(bytes).unwrap();
        let mut shown = RgbImage::new(decoder.width().into(), decoder.height().into());
        let mut frames = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            for (at, pixel) in frame.buffer.chunks_exact(4).enumerate() {
                let (x, y) = (at as u32 % u32::from(frame.width), at as u32 / u32::from(frame.width));
                shown.put_pixel(x + u32::from(frame.left), y + u32::from(frame.top), Rgb([pixel[0], pixel[1], pixel[2]]));
            }
            frames.push((shown.clone(), frame.delay));
        }
        frames
    }

    #[test]
    fn few_colours_stay_as_they_are_and_many_stay_near() {
        let few = RgbImage::from_fn(20, 10, |x, y| Rgb([(x * 12) as u8, (y * 25) as u8, 7]));
        let many = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 4) as u8, (y * 4) as u8, ((x + y) * 2) as u8]));
        for (picture, worst) in [(few, 0), (many, 40)] {
            let mut animation = Animation::new(Vec::new(), [picture.width(), picture.height()]).unwrap();
            animation.add(&[(picture.clone(), 50), (picture.clone(), 120)]).unwrap();
            let frames = read(&animation.finish().unwrap());
            assert_eq!(frames.iter().map(|frame| frame.1).collect::<Vec<_>>(), [50, 120]);
            for (frame, _) in frames {
                let far = frame.as_raw().iter().zip(picture.as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(far <= worst, "{far} levels off");
            }
        }
    }

    #[test]
    fn only_what_changed_is_stored_and_the_rest_stays() {
        let mut pictures = vec![RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 / 4, y as u8 / 4, 0]))];
        for at in 0..4 {
            let mut next = pictures[at].clone();
            next.put_pixel(5 + at as u32, 20, Rgb([255; 3]));
            next.put_pixel(30, 2 + at as u32, Rgb([9; 3]));
            pictures.push(next);
        }
        pictures.push(pictures[4].clone());
        assert_eq!(changed(Some(&pictures[0]), &pictures[1]), ([5, 2], [26, 19]));
        let mut animation = Animation::new(Vec::new(), [40, 30]).unwrap();
        for part in pictures.chunks(2) {
            animation.add(&part.iter().map(|picture| (picture.clone(), 7)).collect::<Vec<_>>()).unwrap();
        }
        let frames = read(&animation.finish().unwrap());
        assert!(frames.iter().map(|frame| &frame.0).eq(&pictures));
    }

    #[test]
    fn frames_of_other_sizes_are_refused() {
        let mut animation = Animation::new(Vec::new(), [4, 4]).unwrap();
        assert!(animation.add(&[(RgbImage::new(4, 5), 10)]).is_err());
        assert!(Animation::new(Vec::new(), [70_000, 4]).is_err());
    }
}

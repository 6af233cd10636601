//! How many pictures one core makes: 64 of each of a few 512 px cut-outs, encoded as PNG as the folder wants them.
//!
//! `cargo run --release --example outputs_per_second -p catgen-augment`

#![expect(clippy::print_stdout, reason = "an example's result is what it prints")]

use std::time::Instant;

use catgen_api::{BuildContext, Digest, Draw, Input, Made, Params, Picture, Verdict};
use catgen_augment::{KIND, build};
use catgen_picture::{Rgba, RgbaImage, encode_png};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let photos = 30;
    let stage = build(&Params::defaults(KIND.params), &BuildContext { seed: 7439, ..BuildContext::default() })?;
    // Soft noise in an ellipse: about as hard to compress as fur.
    let mut noise = Draw::new(1, "noise", &Digest::of(b""), 0);
    let picture = Picture::Rgba(RgbaImage::from_fn(512, 512, |x, y| {
        let inside = 1.0 - ((f64::from(x) - 256.0) / 220.0).hypot((f64::from(y) - 256.0) / 160.0);
        let fur = (noise.bits() % 80) as f64 + f64::from(x + y) / 8.0;
        Rgba([fur as u8, (fur * 0.8) as u8, (fur * 0.5) as u8, (inside * 4000.0).clamp(0.0, 255.0) as u8])
    }));
    for encode in [false, true] {
        let (start, mut made, mut bytes) = (Instant::now(), 0, 0);
        for photo in 0..photos {
            let digest = Digest::of(&[photo]);
            let Verdict::Keep(outputs) = stage.apply(&Input { digest, picture: &picture, inputs: &[] })? else { continue };
            for output in outputs {
                let Made::Picture(picture) = output.made else { continue };
                made += 1;
                bytes += if encode { encode_png(&picture).len() } else { 0 };
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("PNG {encode}: {made} pictures in {seconds:.2} s, {:.0} a second, {bytes} bytes", f64::from(made) / seconds);
    }
    Ok(())
}

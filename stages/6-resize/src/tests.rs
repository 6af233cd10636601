use catgen_api::Digest;
use catgen_picture::Rgba;

use super::*;

const RED: Rgba<u8> = Rgba([200, 0, 0, 255]);

fn check(picture: &Picture, side: u32, fit: Fit, fill: &str, expected: &[&str]) {
    let made = square(picture, side, fit, Fill::parse(fill).unwrap());
    assert_eq!(made.size(), [side, side]);
    assert_eq!(made.has_alpha(), fill == "transparent");
    let letter = |pixel: &Rgba<u8>| match pixel.0 {
        [.., 0] => '.',
        [255, 255, 255, 255] => 'w',
        [200, 0, 0, 255] => 'R',
        [0, 0, 200, 255] => 'B',
        [18, 52, 86, 255] => '#',
        // Half red over white, to the rounding of the blend.
        [227 | 228, 127 | 128, 127 | 128, 255] => 'p',
        _ => '?',
    };
    let made = made.to_rgba();
    let drawn: Vec<String> = made.rows().map(|row| row.map(letter).collect()).collect();
    assert_eq!(drawn, expected, "{fit:?} {fill}");
}

#[test]
fn expand_centres_the_whole_picture_on_the_fill() {
    let wide = Picture::Rgba(RgbaImage::from_pixel(16, 8, RED));
    let tall = Picture::Rgb(Picture::Rgba(RgbaImage::from_pixel(8, 32, RED)).over(Rgb([0; 3])).into_owned());
    let rows =
        |row: [&'static str; 3], counts: [usize; 3]| row.into_iter().zip(counts).flat_map(|(row, n)| vec![row; n]).collect::<Vec<_>>();
    check(&wide, 8, Fit::Expand, "white", &rows(["wwwwwwww", "RRRRRRRR", "wwwwwwww"], [2, 4, 2]));
    check(&wide, 8, Fit::Expand, "transparent", &rows(["........", "RRRRRRRR", "........"], [2, 4, 2]));
    check(&wide, 8, Fit::Expand, "#123456", &rows(["########", "RRRRRRRR", "########"], [2, 4, 2]));
    check(&tall, 8, Fit::Expand, "white", &["wwwRRwww"; 8]);
    check(&tall, 8, Fit::Expand, "transparent", &["...RR..."; 8]);
    // Made larger as well as smaller, and an odd pixel goes below.
    let small = Picture::Rgba(RgbaImage::from_pixel(4, 3, RED));
    check(&small, 9, Fit::Expand, "white", &rows(["wwwwwwwww", "RRRRRRRRR", "wwwwwwwww"], [1, 7, 1]));
    check(&small, 8, Fit::Expand, "white", &rows(["wwwwwwww", "RRRRRRRR", "wwwwwwww"], [1, 6, 1]));
    // Thinner than a pixel still shows.
    check(
        &Picture::Rgba(RgbaImage::from_pixel(1000, 1, RED)),
        8,
        Fit::Expand,
        "white",
        &rows(["wwwwwwww", "RRRRRRRR", "wwwwwwww"], [3, 1, 4]),
    );
}

#[test]
fn crop_keeps_the_middle_square() {
    // Blue ends beyond what the filter sees from the middle square.
    let image = RgbaImage::from_fn(96, 32, |x, _| if (16..80).contains(&x) { RED } else { Rgba([0, 0, 200, 255]) });
    let turned = RgbaImage::from_fn(32, 96, |x, y| *image.get_pixel(y, x));
    check(&Picture::Rgba(image), 8, Fit::Crop, "white", &["RRRRRRRR"; 8]);
    check(&Picture::Rgba(turned), 8, Fit::Crop, "transparent", &["RRRRRRRR"; 8]);
    // At its own size the square is cut out pixel by pixel.
    let image = RgbImage::from_fn(96, 32, |x, y| Rgb([x as u8, y as u8, 0]));
    let middle = RgbImage::from_fn(32, 32, |x, y| Rgb([x as u8 + 32, y as u8, 0]));
    assert_eq!(square(&Picture::Rgb(image), 32, Fit::Crop, Fill::Colour(Rgb([255; 3]))), Picture::Rgb(middle));
}

#[test]
fn the_fill_lies_under_transparency_with_either_fit() {
    let half = Picture::Rgba(RgbaImage::from_fn(8, 8, |_, y| match y {
        0..4 => Rgba([200, 0, 0, 127]),
        // A colour that nobody may see.
        _ => Rgba([0, 255, 0, 0]),
    }));
    for fit in [Fit::Expand, Fit::Crop] {
        check(&half, 8, fit, "white", &[["pppppppp"; 4], ["wwwwwwww"; 4]].concat());
    }
}

/// Lanczos with three lobes over the footprint of each new pixel, as Pillow and torchvision define it: for each new pixel the
/// first old one that counts, and the weights from there on.
fn lanczos(from: u32, to: u32) -> Vec<(usize, Vec<f64>)> {
    let scale = f64::from(from) / f64::from(to);
    let stretch = scale.max(1.0);
    let kernel = |x: f64| {
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (std::f64::consts::PI * x).sin() / (std::f64::consts::PI * x) };
        if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
    };
    let weights = |new: u32| {
        let centre = (f64::from(new) + 0.5) * scale;
        let first = (centre - 3.0 * stretch + 0.5).max(0.0) as usize;
        let last = ((centre + 3.0 * stretch + 0.5) as usize).min(from as usize);
        let raw: Vec<f64> = (first..last).map(|at| kernel((at as f64 - centre + 0.5) / stretch)).collect();
        let sum: f64 = raw.iter().sum();
        (first, raw.iter().map(|weight| weight / sum).collect())
    };
    (0..to).map(weights).collect()
}

/// Straight colours and alpha of the picture at that size, in floats: premultiplied, weighed, divided again. Between rows and
/// columns what overshoots is cut, as it is wherever pictures are whole numbers without a sign.
fn by_definition(image: &RgbaImage, side: u32) -> Vec<[f64; 4]> {
    let (width, height) = image.dimensions();
    let at = |x: usize, y: usize| {
        let [r, g, b, a] = image.get_pixel(x as u32, y as u32).0.map(f64::from);
        [r * a / 255.0, g * a / 255.0, b * a / 255.0, a]
    };
    let sum = |parts: &mut dyn Iterator<Item = (f64, [f64; 4])>| {
        parts.fold([0.0; 4], |sum, (weight, value)| std::array::from_fn(|channel| sum[channel] + weight * value[channel]))
    };
    let (across, down) = (lanczos(width, side), lanczos(height, side));
    let rows: Vec<Vec<[f64; 4]>> = (0..height as usize)
        .map(|y| {
            across
                .iter()
                .map(|(x0, weights)| {
                    sum(&mut weights.iter().enumerate().map(|(dx, w)| (*w, at(x0 + dx, y)))).map(|value| value.clamp(0.0, 257.0))
                })
                .collect()
        })
        .collect();
    let pixel = |x: usize, (y0, weights): &(usize, Vec<f64>)| {
        let [r, g, b, a] = sum(&mut weights.iter().enumerate().map(|(dy, w)| (*w, rows[y0 + dy][x])));
        // A colour is the mean of colours: an alpha that overshoots has still been divided by.
        let colour = |value: f64| if a > 0.0 { (value / a.min(257.0) * 255.0).clamp(0.0, 255.0) } else { 0.0 };
        [colour(r), colour(g), colour(b), a.clamp(0.0, 255.0)]
    };
    down.iter().flat_map(|weights| (0..side as usize).map(move |x| pixel(x, weights))).collect()
}

/// Fur: colours that change from pixel to pixel, and an edge that fades out over a dozen of them into a green nobody may see.
fn fur(side: u32) -> RgbaImage {
    let mut draw = catgen_api::Draw::new(1, "fur", &Digest::of(b""), 0);
    RgbaImage::from_fn(side, side, |x, y| {
        let middle = f64::from(side) / 2.0;
        let inside = (0.8 * middle - (f64::from(x) - middle).hypot(f64::from(y) - middle)) / 12.0;
        let alpha = (inside * 255.0).clamp(0.0, 255.0) as u8;
        let grey = draw.below(60) as u8;
        if alpha == 0 { Rgba([0, 255, 0, 0]) } else { Rgba([150 + grey, 90 + grey, 30 + grey / 2, alpha]) }
    })
}

#[test]
fn soft_edges_are_exact() {
    for (from, to) in [(512, 64), (128, 64), (200, 64), (50, 64)] {
        let image = fur(from);
        let exact = by_definition(&image, to);
        let picture = Picture::Rgba(image);
        let Picture::Rgba(clear) = square(&picture, to, Fit::Expand, Fill::Transparent) else { panic!("alpha was lost") };
        let Picture::Rgb(white) = square(&picture, to, Fit::Expand, Fill::Colour(Rgb([255; 3]))) else { panic!("not RGB") };
        let mut soft = 0;
        for ((ours, over), exact) in clear.pixels().zip(white.pixels()).zip(&exact) {
            let alpha = exact[3] / 255.0;
            soft += usize::from((8.0..248.0).contains(&exact[3]));
            assert!((f64::from(ours[3]) - exact[3]).abs() <= 1.0, "{from} to {to}: alpha {} is not {}", ours[3], exact[3]);
            for channel in 0..3 {
                // The filter's 16-bit rounding, as far as a faint alpha blows it up: a level where nobody sees more.
                let allowed = 1.0 + 2.0 / exact[3].max(0.5);
                let straight = (f64::from(ours[channel]) - exact[channel]).abs();
                assert!(ours[3] < 2 || straight <= allowed, "{from} to {to}: {ours:?} is not {exact:?}");
                let seen = exact[channel] * alpha + 255.0 * (1.0 - alpha);
                assert!((f64::from(over[channel]) - seen).abs() <= 1.5, "{from} to {to}: {over:?} over white is not {seen}");
            }
        }
        assert!(soft > 100, "{from} to {to}: the edge is not soft: {soft}");
    }
}

#[test]
fn edges_of_cutouts_show_no_halo() {
    // A red disc with green under its transparency: over white, green may nowhere exceed what white gives.
    let disc = RgbaImage::from_fn(400, 300, |x, y| {
        let inside = (f64::from(x) - 200.0).hypot(f64::from(y) - 150.0) < 120.0;
        if inside { RED } else { Rgba([0, 255, 0, 0]) }
    });
    let Picture::Rgb(made) = square(&Picture::Rgba(disc), 64, Fit::Expand, Fill::Colour(Rgb([255; 3]))) else { panic!("not RGB") };
    for pixel in made.pixels() {
        assert!(pixel[1].abs_diff(pixel[2]) <= 1 && pixel[0] >= 199, "{pixel:?} is not between red and white");
    }
}

#[test]
fn a_square_of_the_right_size_passes_unchanged() {
    let image = RgbImage::from_fn(64, 64, |x, y| Rgb([x as u8, y as u8, (x * y) as u8]));
    for fit in [Fit::Expand, Fit::Crop] {
        assert_eq!(square(&Picture::Rgb(image.clone()), 64, fit, Fill::Colour(Rgb([0; 3]))), Picture::Rgb(image.clone()), "{fit:?}");
    }
}

#[test]
fn what_is_no_fill_is_refused_with_the_nearest_word() {
    let built = |fill: &str| {
        let mut params = Params::defaults(KIND.params);
        params.set(KIND.params, "fill", &fill.into()).unwrap();
        build(&params, &BuildContext::default()).map(|_| ()).map_err(|error| error.to_string())
    };
    for fill in ["white", "black", "grey", "transparent", "#ABCDEF", "#000000"] {
        assert_eq!(built(fill), Ok(()), "{fill}");
    }
    assert_eq!(built("whit").unwrap_err(), "fill: \"whit\" is not a fill; did you mean \"white\"?");
    for fill in ["", "#12345", "#+12345", "#1234567", "#ééé", "octarine"] {
        let message = format!("fill: {fill:?} is not a fill: write white, black, grey, transparent or a colour such as \"#ffcc00\"");
        assert_eq!(built(fill).unwrap_err(), message);
    }
}

#[test]
fn the_stage_makes_one_picture_of_one() {
    let mut params = Params::defaults(KIND.params);
    params.set(KIND.params, "side", &32.into()).unwrap();
    let stage = build(&params, &BuildContext::default()).unwrap();
    let picture = Picture::Rgb(RgbImage::new(100, 50));
    let Ok(Verdict::Keep(outputs)) = stage.apply(&Input { digest: Digest::of(b""), picture: &picture, inputs: &[] }) else {
        panic!("no picture")
    };
    let [Output { tag, made: Made::Picture(made), .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((tag.as_str(), made.size(), made.has_alpha()), ("", [32, 32], false));
}

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

#[test]
fn edges_of_cutouts_show_no_halo() {
    // A red disc with green under its transparency: over white, green may nowhere exceed what white gives.
    let disc = RgbaImage::from_fn(400, 300, |x, y| {
        let inside = (f64::from(x) - 200.0).hypot(f64::from(y) - 150.0) < 120.0;
        if inside { RED } else { Rgba([0, 255, 0, 0]) }
    });
    let Picture::Rgb(made) = square(&Picture::Rgba(disc), 64, Fit::Expand, Fill::Colour(Rgb([255; 3]))) else { panic!("not RGB") };
    for pixel in made.pixels() {
        assert!(pixel[1].abs_diff(pixel[2]) <= 4 && pixel[0] >= 195, "{pixel:?} is not between red and white");
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

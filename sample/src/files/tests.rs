use std::collections::{BTreeMap, BTreeSet};

use catgen_picture::{Format, decode};

use super::*;
use crate::tests::{distance, phash};

/// Writes `count` cats and hands every file to `check`, decoded upright, with its bytes and its mask.
fn written(count: usize, mut check: impl FnMut(&Written, &[u8], &RgbImage, &GrayImage)) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let (photos, masks) = (folder.path().join("photos"), folder.path().join("masks"));
    let sample = write(&photos, Some(&masks), count, 7439).unwrap();
    for photo in &sample.photos {
        let bytes = fs::read(photos.join(&photo.path)).unwrap();
        let picture = decode(&bytes, None).unwrap().picture;
        let mask = image::open(masks.join(photo.path.with_extension("png"))).unwrap().into_luma8();
        check(photo, &bytes, &picture.over(image::Rgb([0; 3])), &mask);
    }
    sample
}

/// The mean difference of two pictures of one size, in levels of 255.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    a.iter().zip(b.iter()).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum::<f64>() / a.len() as f64
}

#[test]
fn every_file_decodes_upright_to_the_cat_that_was_drawn() {
    let (mut formats, mut orientations) = (BTreeSet::new(), BTreeSet::new());
    let mut hashes: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    let mut files = BTreeMap::new();
    let sample = written(24, |photo, bytes, picture, mask| {
        let cat = crate::draw(7439, photo.index);
        formats.insert(Format::sniff(bytes).unwrap().name());
        orientations.insert(photo.orientation);
        assert_eq!(mask.dimensions(), picture.dimensions(), "{photo:?}");
        if matches!(photo.how, How::Drawn | How::Exact | How::Reencoded) {
            let mean = difference(picture, &cat.picture);
            assert!(mean < 6.0, "{photo:?} is {mean:.1} levels from what was drawn");
            assert!(mask == &cat.mask, "{photo:?}");
        }
        let hash = phash(picture);
        if let Some(original) = &photo.of {
            let bits = distance(&hash, &hashes[original]);
            assert!(bits <= 8, "{photo:?} is {bits} bits from its original");
            assert_eq!(photo.how == How::Exact, bytes == files[original], "{photo:?}");
        }
        hashes.insert(photo.path.clone(), hash);
        files.insert(photo.path.clone(), bytes.to_vec());
    });
    assert_eq!(formats, BTreeSet::from(["BMP", "GIF", "JPEG", "PNG", "WebP"]));
    assert_eq!(orientations, BTreeSet::from([1, 3, 6, 8]));
    let kinds = sample.photos.iter().map(|photo| photo.how as u8).collect::<BTreeSet<_>>();
    assert_eq!((sample.photos.len(), kinds.len(), files.len()), (30, 5, 30));
    let folders = files.keys().filter_map(|path| path.parent()).collect::<BTreeSet<_>>();
    assert!(folders.len() >= 3, "{folders:?}");
}

#[test]
fn small_samples_work_too() {
    for (count, files) in [(0, 0), (1, 3), (2, 4), (11, 15)] {
        let sample = written(count, |_, _, _, _| {});
        assert_eq!(sample.photos.len(), files, "{count} cats");
        let names = sample.photos.iter().map(|photo| &photo.path).collect::<BTreeSet<_>>();
        assert_eq!(names.len(), files, "{count} cats: a file was written over");
    }
}

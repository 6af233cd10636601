use img_hash::{HashAlg, HashBytes, HasherConfig};

use super::*;

/// Differing bits of two 64-bit perceptual hashes.
pub(crate) fn distance(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// The perceptual hash that the duplicate finder uses by default.
pub(crate) fn phash(picture: &RgbImage) -> Vec<u8> {
    let hasher = HasherConfig::new().hash_alg(HashAlg::Median).hash_size(8, 8).preproc_dct().to_hasher();
    hasher.hash_image(picture).into_inner().as_slice().to_vec()
}

fn share(mask: &GrayImage) -> f64 {
    mask.iter().map(|&value| f64::from(value) / 255.0).sum::<f64>() / mask.len() as f64
}

#[test]
fn the_same_numbers_draw_the_same_cat_and_others_another() {
    let cat = draw(7439, 4);
    assert_eq!(cat, draw(7439, 4));
    assert_ne!(cat.picture, draw(7439, 5).picture);
    assert_ne!(cat.picture, draw(7440, 4).picture);
}

#[test]
fn the_cat_fills_a_fair_part_of_the_photo() {
    for (seed, index) in (0..40).map(|index| (7439, index)).chain((0..20).map(|index| (1, index))) {
        let cat = draw(seed, index);
        assert_eq!(cat.mask.dimensions(), cat.picture.dimensions());
        let long = cat.picture.width().max(cat.picture.height());
        assert!((480..=1400).contains(&long), "{seed}/{index}: {long} pixels");
        let share = share(&cat.mask);
        assert!((0.08..=0.60).contains(&share), "{seed}/{index}: the cat fills {share:.3}");
    }
}

#[test]
fn the_mask_is_where_the_cat_is() {
    // None of these sits in a box, whose front is neither.
    for index in [0, 3, 9, 14, 20] {
        let plan = Plan::new(7439, index);
        let (width, height) = (plan.layout.size[0] as usize, plan.layout.size[1] as usize);
        let (empty, _) = plan.light.develop(&plan.background(width, height));
        let cat = plan.draw();
        // Against the same photo without its cat: what differs much is the cat, its shadow or what hides it.
        let (mut inside, mut changed, mut outside, mut kept) = (0u32, 0u32, 0u32, 0u32);
        for ((after, before), mask) in cat.picture.pixels().zip(empty.pixels()).zip(cat.mask.iter()) {
            let difference: u32 = after.0.iter().zip(before.0).map(|(&a, b)| u32::from(a.abs_diff(b))).sum();
            match mask {
                255 => (inside, changed) = (inside + 1, changed + u32::from(difference > 24)),
                0 => (outside, kept) = (outside + 1, kept + u32::from(difference <= 24)),
                _ => {}
            }
        }
        let (hit, spared) = (f64::from(changed) / f64::from(inside), f64::from(kept) / f64::from(outside));
        assert!(hit > 0.75 && spared > 0.75, "{index}: {hit:.2} of the mask changed, {spared:.2} outside it did not");
    }
}

#[test]
fn different_cats_are_different_photos_to_a_perceptual_hash() {
    let hashes = (0..40).map(|index| phash(&draw(7439, index).picture)).collect::<Vec<_>>();
    let mut near = Vec::new();
    for (i, a) in hashes.iter().enumerate() {
        for (j, b) in hashes.iter().enumerate().skip(i + 1) {
            let bits = distance(a, b);
            if bits <= 12 {
                near.push((i, j, bits));
            }
        }
    }
    assert!(near.is_empty(), "pairs too near each other: {near:?}");
}

use super::*;

/// Observations every `every` pictures.
fn series(every: u64, count: u64, of: impl Fn(u64) -> Observation) -> Vec<Observation> {
    (1..=count).map(|at| Observation { images_seen: at * every, ..of(at) }).collect()
}

/// A training as it should be.
fn healthy(_: u64) -> Observation {
    let logits = Some(Logits { training: 1.0, held_out: 0.8, generated: -1.0 });
    Observation {
        losses: [1.1, 1.4],
        belief: [0.65, 0.35],
        logits,
        spread: Some(0.9),
        nearest: Some(0.8),
        recall: Some(0.4),
        images_seen: 0,
    }
}

/// At which observation, counted from 1, the first alarm is given, and which.
fn first(observed: &[Observation]) -> Option<(usize, Kind)> {
    (1..=observed.len()).find_map(|count| look(&observed[..count]).map(|alarm| (count, alarm.kind)))
}

#[test]
fn a_healthy_training_and_a_short_one_give_none() {
    assert_eq!(first(&series(5_000, 40, healthy)), None);
    // Nothing measured but losses.
    assert_eq!(first(&series(5_000, 40, |_| Observation { losses: [0.5, 3.0], belief: [0.8, 0.2], ..Observation::default() })), None);
    assert_eq!(look(&[]), None);
}

/// What two trainings on 64 px cat faces showed every 1,000 to 2,000 pictures, with EfficientNet-Lite0: `dcgan` at width 16, batch 32, on a CPU.
fn recorded(lines: &str) -> Vec<Observation> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn recorded_trainings_are_told_apart() {
    // 1,000 faces with the tutorial's rates: faces begin to show, KID ×1000 falls from 681 to 375.
    let healthy = recorded(include_str!("healthy.jsonl"));
    assert_eq!((healthy.len(), first(&healthy)), (12, None));
    // 128 faces, fifteen times the rate, β₁ 0.9: after 8,000 pictures KID stays above its best, and the discriminator is right 99 times of 100.
    let wins = recorded(include_str!("wins.jsonl"));
    assert_eq!((wins.len(), first(&wins)), (8, Some((8, Kind::DiscriminatorWins))));
}

#[test]
fn what_is_no_number_is_said_at_once() {
    let observed = series(5_000, 4, |at| Observation { losses: [0.5, if at == 2 { f64::NAN } else { 1.0 }], ..healthy(at) });
    assert_eq!(first(&observed), Some((2, Kind::NotFinite)));
    assert!(look(&observed[..2]).unwrap().sentence.contains("after 10000 pictures"));
}

#[test]
fn collapse_is_called_after_there_was_variety_and_not_at_the_beginning() {
    // Begins alike, becomes varied, collapses at 20.
    let spread = |at: u64| match at {
        0..=5 => 0.1,
        6..=19 => 0.8,
        _ => 0.2,
    };
    assert_eq!(first(&series(3_000, 30, |at| Observation { spread: Some(spread(at)), ..healthy(at) })), Some((22, Kind::Collapse)));
    // One bad value, or two, are none.
    let dips = |at: u64| Observation { spread: Some(if at % 4 < 2 { 0.1 } else { 0.9 }), ..healthy(at) };
    assert_eq!(first(&series(3_000, 30, dips)), None);
    // Never varied: after its warm-up of 50,000 pictures.
    let never = |at| Observation { spread: Some(0.1), nearest: Some(0.1), ..healthy(at) };
    assert_eq!(first(&series(5_000, 30, never)), Some((10, Kind::Collapse)));
    // A few pictures again and again keep their spread.
    let few = |at: u64| Observation { nearest: Some(if at < 10 { 0.8 } else { 0.05 }), ..healthy(at) };
    let observed = series(3_000, 30, few);
    assert_eq!(first(&observed), Some((12, Kind::Collapse)));
    assert!(look(&observed).unwrap().sentence.contains("again and again"));
    // Recall that was there and is gone; that never was there is how most trainings begin.
    let lost = |at: u64| Observation { recall: Some(if at < 10 { 0.3 } else { 0.0 }), ..healthy(at) };
    assert_eq!(first(&series(3_000, 30, lost)), Some((12, Kind::Collapse)));
    assert_eq!(first(&series(3_000, 30, |at| Observation { recall: Some(0.0), ..healthy(at) })), None);
}

#[test]
fn a_discriminator_that_is_always_right_wins() {
    // As in pytorch/examples #822: the loss of D falls to 0 while that of G rises to 100.
    let won = |at: u64| if at < 4 { healthy(at) } else { Observation { losses: [0.0, 40.0], belief: [1.0, 0.0], ..healthy(at) } };
    assert_eq!(first(&series(2_000, 9, won)), Some((6, Kind::DiscriminatorWins)));
    // The first steps of a tiny dataset, where an epoch is a step, are too few to judge by.
    assert_eq!(first(&series(64, 30, won)), None);
    assert!(look(&series(2_000, 9, won)).unwrap().sentence.contains("(real 1.000, generated 0.000)"));
}

#[test]
fn a_discriminator_that_knows_its_photos_by_heart_is_told_by_held_out_ones() {
    let logits = |held_out| Some(Logits { training: 6.0, held_out, generated: -4.0 });
    let observed = series(5_000, 12, |at| Observation { logits: logits(6.0 - at as f64), ..healthy(at) });
    // The gap is a tenth more each time: 0.8, 0.9 and 1.0 are three in a row.
    assert_eq!(first(&observed), Some((10, Kind::Overfit)));
    assert!(look(&observed[..10]).unwrap().sentence.contains("gap 1.00 of 1"));
    assert_eq!(Logits { training: 0.01, held_out: -5.0, generated: 0.0 }.gap(), None, "nothing is told apart yet");
}

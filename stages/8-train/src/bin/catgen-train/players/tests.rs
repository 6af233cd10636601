use super::*;

/// Options for networks small enough for tests.
fn small(preset: &str, more: &str) -> TrainOptions {
    let width = if preset == "r3gan-s" { 16 } else { 8 };
    TrainOptions::from_json(&format!(r#"{{"preset": "{preset}", "width": {width}, "latent": 8, "batch": 4{more}}}"#)).unwrap().resolved()
}

fn made(options: &TrainOptions, compute: Kind, graph: bool, device: Device) -> (Players, Dataset) {
    // Threads that wait for one another while all tests run at once take longer than the work.
    tch::set_num_threads(1);
    let data = rng::seeded(1, Purpose::Step, 99, || Dataset::noise(16, 32, Device::Cpu)).on(device);
    let mut players = Players::new(options, &data, options.batch, compute, graph, device);
    players.begin(5);
    players.set_order(&data.order(5, 0));
    (players, data)
}

/// Everything after so many steps, as one tensor.
fn after(options: &TrainOptions, steps: u64, compute: Kind, graph: bool, device: Device) -> Tensor {
    let (mut players, data) = made(options, compute, graph, device);
    run(&mut players, &data, 0..steps);
    everything(&players)
}

fn run(players: &mut Players, data: &Dataset, steps: std::ops::Range<u64>) {
    for step in steps {
        players.step(data, 5, step, step % 4 * 4).unwrap();
    }
}

fn everything(players: &Players) -> Tensor {
    let parts: Vec<Tensor> =
        players.tensors().iter().map(|(_, tensor)| tensor.to_device(Device::Cpu).to_kind(Kind::Double).reshape([-1])).collect();
    Tensor::cat(&parts, 0)
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

const EVERY: [(&str, &str); 8] = [
    ("dcgan", ""),
    ("dcgan", r#", "loss": "ralsgan", "augment": "adaptive", "augment_images": 100"#),
    ("dcgan", r#", "loss": "rahinge-gp", "penalty_every": 2"#),
    ("dcgan", r#", "loss": "hinge", "ema_images": 0"#),
    ("dcgan-keras", ""),
    ("dcgan-keras", r#", "loss": "lsgan-gp""#),
    ("r3gan-s", ""),
    ("r3gan-s", r#", "augment": "adaptive", "augment_images": 100, "penalty_every": 3, "schedule_images": 40"#),
];

#[test]
fn steps_are_numbers_and_the_same_every_time() {
    for (preset, more) in EVERY {
        let options = small(preset, more);
        let (mut players, data) = made(&options, Kind::Float, false, Device::Cpu);
        let before = everything(&players);
        run(&mut players, &data, 0..5);
        assert!(players.are_finite() && players.sums.read().iter().all(|sum| sum.is_finite()), "{preset}{more}");
        let once = everything(&players);
        assert!(distance(&before, &once) > 1e-3, "{preset}{more}: nothing was learnt");
        assert_eq!(once, after(&options, 5, Kind::Float, false, Device::Cpu), "{preset}{more}");
        let penalised = players.sums.read()[5] > 0.0;
        assert_eq!(penalised, !matches!(options.loss, LossKind::Is(_, Penalty::None)), "{preset}{more}");
    }
}

#[test]
fn a_step_does_not_depend_on_what_was_drawn_before_it() {
    let options = small("dcgan-keras", r#", "augment": "diffaugment", "flip": "on""#);
    let (mut players, data) = made(&options, Kind::Float, false, Device::Cpu);
    for step in 0..3 {
        let _ = Tensor::randn([7], (Kind::Float, Device::Cpu));
        run(&mut players, &data, step..step + 1);
    }
    assert_eq!(everything(&players), after(&options, 3, Kind::Float, false, Device::Cpu));
}

#[test]
fn sixteen_bits_learn_what_thirty_two_do() {
    for (preset, more) in EVERY {
        let options = small(preset, more);
        let (mut exact, data) = made(&options, Kind::Float, false, Device::Cpu);
        let (mut rounded, _) = made(&options, Kind::BFloat16, false, Device::Cpu);
        run(&mut exact, &data, 0..1);
        run(&mut rounded, &data, 0..1);
        // Adam's first step goes by the gradient's sign alone, so the gradients are compared: m is a part of the first one.
        let [a, b] = [&exact, &rounded].map(|players| {
            let moments: Vec<Tensor> = players
                .tensors()
                .into_iter()
                .filter(|(name, _)| name.starts_with("adam.m"))
                .map(|(_, tensor)| tensor.reshape([-1]))
                .collect();
            let all = Tensor::cat(&moments, 0);
            &all / all.norm()
        });
        let cosine = (a * b).sum(Kind::Double).double_value(&[]);
        assert!(cosine > 0.95, "{preset}{more}: {cosine}");
    }
}

#[test]
fn a_held_discriminator_teaches_the_generator_the_same() {
    // What the tutorial does: gradients of D's weights in G's step, thrown away. D's own weights are not touched.
    let options = small("dcgan", "");
    let (mut players, data) = made(&options, Kind::Float, false, Device::Cpu);
    let z = rng::noise(1, 0, 4, 8, Device::Cpu);
    let batch = data.batch(&Tensor::from_slice(&[0i64, 1, 2, 3]), false);
    let _ = players.d.forward(&batch, Mode::Train);
    let mut gradient = |mode| {
        let fake = players.g.forward(&z, Mode::Train);
        let loss = loss::generator(Game::Bce, None, &players.d.forward(&fake, mode));
        players.g.network.gradient(&loss, false).copy()
    };
    assert_eq!(gradient(Mode::Held), gradient(Mode::Train));
}

#[test]
fn the_average_follows_the_generator() {
    let options = small("dcgan", r#", "ema_images": 8"#);
    let (mut players, data) = made(&options, Kind::Float, false, Device::Cpu);
    let mut expected = players.g.network.flat.copy();
    for step in 0..6 {
        run(&mut players, &data, step..step + 1);
        let renewal = players.schedule.at(step).renewal;
        expected = &expected * (1.0 - renewal) + &players.g.network.flat * renewal;
    }
    assert!(distance(&expected, &players.best_generator().flat) < 1e-6);
    assert!(distance(&expected, &players.g.network.flat) > 1e-6);
}

#[test]
fn an_adaptive_probability_rises_where_the_discriminator_is_sure() {
    let options = small("dcgan", r#", "augment": "adaptive", "augment_images": 100, "augment_target": 0.0"#);
    let (mut players, data) = made(&options, Kind::Float, false, Device::Cpu);
    assert_eq!(players.augment_probability(), 0.0);
    // With a target of 0 every step in which more than half look real moves p up by 4 / 100.
    run(&mut players, &data, 0..12);
    let p = players.augment_probability();
    assert!(p > 0.04 && p < 12.0 * 0.04 + 1e-6 && (p / 0.04 - (p / 0.04).round()).abs() < 1e-4, "{p}");
}

#[test]
fn a_recorded_step_is_the_same_step() {
    if !tch::Cuda::is_available() {
        println!("skipped: no GPU, so steps cannot be recorded");
        return;
    }
    for (preset, more) in EVERY {
        let options = small(preset, more);
        let eager = after(&options, 8, Kind::Float, false, Device::Cuda(0));
        let recorded = after(&options, 8, Kind::Float, true, Device::Cuda(0));
        assert!(distance(&eager, &recorded) < 2e-3, "{preset}{more}: {}", distance(&eager, &recorded));
    }
}

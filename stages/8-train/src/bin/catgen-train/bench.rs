//! How fast a step is on this machine: pictures that are noise, no files. What a training will cost, before it begins.

use std::{fs, time::Instant};

use catgen_train::TrainOptions;
use serde_json::{Value, json};

use crate::{data::Dataset, device, error::Failure, players::Players};

/// What to measure.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) options: TrainOptions,
    pub(crate) side: u64,
    pub(crate) seconds: f64,
}

/// Steps before the clock starts: libraries choose their kernels, a CUDA graph is recorded.
const WARM_STEPS: u64 = 8;
/// Pictures in the dataset.
const PICTURES: u64 = 4096;

/// Runs steps for so many seconds and answers what they took.
pub(crate) fn bench(task: &Task) -> Result<Value, Failure> {
    let options = task.options.resolved();
    let device = device::choose(options.device)?;
    let (numbers, graph) = device::prepare(&options, device)?;
    let data = Dataset::noise(PICTURES.max(options.batch), task.side, device);
    let mut players = Players::new(&options, &data, options.batch, numbers, graph, device);
    players.begin(1);
    players.set_order(&data.order(1, 0));
    let mut step = 0;
    let mut run = |players: &mut Players, steps: u64| -> Result<f64, Failure> {
        for _ in 0..steps {
            players.step(&data, 1, step, step * options.batch % (data.len - options.batch + 1))?;
            step += 1;
        }
        // Reading waits for the device.
        Ok(players.sums.read().iter().sum())
    };
    let warm = if device.is_cuda() { WARM_STEPS } else { 2 };
    run(&mut players, warm)?;
    let (mut steps, begun, processor) = (0, Instant::now(), processor_seconds());
    let mut sum = 0.0;
    // Some steps between readings, as in training.
    let at_once = if device.is_cuda() { 20 } else { 1 };
    while begun.elapsed().as_secs_f64() < task.seconds || steps == 0 {
        sum = run(&mut players, at_once)?;
        steps += at_once;
    }
    let (wall, processor) = (begun.elapsed().as_secs_f64(), processor_seconds().zip(processor).map(|(now, then)| now - then));
    if !sum.is_finite() {
        return Err(Failure::broken("the losses are no longer numbers", "report this"));
    }
    let images = (steps * options.batch) as f64;
    Ok(json!({
        "preset": options.preset,
        "loss": options.loss,
        "batch": options.batch,
        "side": task.side,
        "width": options.width,
        "device": device::name(device),
        "cuda_device": device.is_cuda().then(device::cuda_name).flatten(),
        "numbers": format!("{numbers:?}").to_lowercase(),
        "graph": graph,
        "threads": tch::get_num_threads(),
        "steps": steps,
        "ms_per_step": wall * 1e3 / steps as f64,
        "images_per_second": images / wall,
        // What the step costs a processor, whatever else runs on the machine.
        "cpu_ms_per_step": processor.map(|seconds| seconds * 1e3 / steps as f64),
        "images_per_cpu_second": processor.map(|seconds| images / seconds),
    }))
}

/// Processor time of this process so far, in ticks of 10 ms; none where the system does not tell.
fn processor_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name and may hold spaces; user and system time are the 14th and 15th.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

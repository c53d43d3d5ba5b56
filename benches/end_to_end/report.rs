//! The measured table, as Markdown.

use super::Run;
use super::measure::Measured;

pub const CONSUME_ONLY: &str = "consume only";
pub const AGGREGATE: &str = "aggregate";
pub const SPARK: &str = "Spark";

/// The medians of each program's runs, and the ratios to consuming only.
pub fn print(runs: &[Run], readings: u64) {
    println!(
        "\n| program | runs | wall, s | readings/s | working, s | readings/s | processor, s | peak resident, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for program in [CONSUME_ONLY, AGGREGATE, SPARK] {
        let own = || runs.iter().filter(move |run| run.program == program);
        if own().next().is_none() {
            continue;
        }
        let wall = median(own().map(|run| run.measured.wall.as_secs_f64()));
        let working = median(own().map(|run| run.working.as_secs_f64()));
        println!(
            "| {program} | {} | {wall:.2} | {:.0} | {working:.2} | {:.0} | {:.2} | {:.0} |",
            own().count(),
            readings as f64 / wall,
            readings as f64 / working,
            median(own().map(|run| run.measured.processor.as_secs_f64())),
            own()
                .map(|run| megabytes(run.measured.peak_resident))
                .fold(0.0, f64::max),
        );
    }
    let wall = |program| median_of(runs, program, |run| run.measured.wall.as_secs_f64());
    let working = |program| median_of(runs, program, |run| run.working.as_secs_f64());
    println!("\nThroughput of aggregate, by the medians:");
    for program in [CONSUME_ONLY, SPARK] {
        if let (Some(wall), Some(working), Some(own_wall), Some(own_working)) = (
            wall(program),
            working(program),
            wall(AGGREGATE),
            working(AGGREGATE),
        ) {
            println!(
                "  {:.2} x {program} by wall time, {:.2} x without starting up and joining the group",
                wall / own_wall,
                working / own_working
            );
        }
    }
    for run in runs {
        println!(
            "  {:<12} wall {:6.2} s, working {:6.2} s, processor {:6.2} s, {:4.0} MB",
            run.program,
            run.measured.wall.as_secs_f64(),
            run.working.as_secs_f64(),
            run.measured.processor.as_secs_f64(),
            megabytes(run.measured.peak_resident)
        );
    }
}

/// The resources that the tutorial's job took.
pub fn print_tutorial(measured: &Measured) {
    println!(
        "\nThe tutorial's job: {:.0} MB resident at most, {:.2} s of processor time in {:.1} s",
        megabytes(measured.peak_resident),
        measured.processor.as_secs_f64(),
        measured.wall.as_secs_f64()
    );
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn median_of(runs: &[Run], program: &str, of: impl Fn(&Run) -> f64) -> Option<f64> {
    let values: Vec<f64> = runs.iter().filter(|run| run.program == program).map(of).collect();
    (!values.is_empty()).then(|| median(values.into_iter()))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values[middle]
    } else {
        (values[middle - 1] + values[middle]) / 2.0
    }
}

//! Plots of the results as SVG: for each row how many times better ours is than each peer, and how
//! gets and seeks grow slower with the number of keys.

use std::path::Path;

use plotters::prelude::*;

use super::row::{TableRow, short};
use super::table::Table;
use crate::Result;

const ROW_HEIGHT: u32 = 22;
const MARGINS: u32 = 110;
const WIDTH: u32 = 900;
/// Beyond this many times better or worse a mark stands at the edge.
const EDGE: f64 = 1_000.0;

fn color(engine: &str) -> RGBColor {
    match engine {
        "ours" => RGBColor(20, 20, 20),
        "fjall" => RGBColor(230, 97, 1),
        "redb" => RGBColor(178, 24, 43),
        "lmdb" => RGBColor(27, 120, 55),
        "rocksdb" => RGBColor(33, 102, 172),
        "1x" => RGBColor(118, 42, 131),
        _ => RGBColor(140, 140, 140),
    }
}

/// A line for each row, a mark for each peer; to the right of 1, ours is better.
pub fn draw(table: &Table, path: &Path) -> Result<()> {
    let peers: Vec<&str> = table
        .engines
        .iter()
        .map(String::as_str)
        .filter(|engine| *engine != "ours")
        .collect();
    let rows: Vec<&TableRow> = table
        .rows
        .iter()
        .filter(|row| row.advantage().is_some())
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let height = MARGINS + ROW_HEIGHT * rows.len() as u32;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let caption = format!(
        "{}: how many times better ours is than each peer",
        table.suite
    );
    let last = rows.len() as f64;
    let mut chart = ChartBuilder::on(&root)
        .caption(caption, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(330)
        .build_cartesian_2d((1.0 / EDGE..EDGE).log_scale(), -0.5..last - 0.5)?;
    let name = |place: &f64| {
        // The first row at the top.
        let index = last - 1.0 - place.round();
        let row = rows.get(index.max(0.0) as usize);
        row.map_or_else(String::new, |row| row.name.clone())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(rows.len() + 1)
        .y_label_formatter(&name)
        .x_label_formatter(&|times| format!("{times} ×"))
        .label_style(("sans-serif", 12))
        .draw()?;
    chart.draw_series(LineSeries::new(
        [(1.0, -0.5), (1.0, last - 0.5)],
        BLACK.stroke_width(2),
    ))?;
    for peer in peers {
        let marks = rows.iter().enumerate().filter_map(|(index, row)| {
            let times = row.advantage_over(&[peer])?.spread.median;
            Some((times.clamp(1.0 / EDGE, EDGE), last - 1.0 - index as f64))
        });
        let color = color(peer);
        chart
            .draw_series(marks.map(|at| Circle::new(at, 5, color.filled())))?
            .label(peer)
            .legend(move |at| Circle::new(at, 5, color.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .border_style(BLACK)
        .label_font(("sans-serif", 12))
        .draw()?;
    Ok(root.present()?)
}

const MILLIONS: [f64; 3] = [1.0, 4.0, 16.0];

/// Gets a second by the number of keys, a line for each engine.
pub fn draw_growth(table: &Table, path: &Path) -> Result<()> {
    let points = |engine: &str| {
        let mut points = Vec::new();
        for millions in MILLIONS {
            let name = format!("{millions}M keys: random gets");
            let row = table.rows.iter().find(|row| row.name == name);
            if let Some(spread) = row.and_then(|row| row.spread(engine)) {
                points.push((millions, spread.median));
            }
        }
        points
    };
    let all = table.engines.iter().flat_map(|engine| points(engine));
    let rates: Vec<f64> = all.map(|(_, rate)| rate).collect();
    let least = rates.iter().copied().fold(f64::INFINITY, f64::min) / 1.5;
    let most = rates.iter().copied().fold(1.0, f64::max) * 1.5;
    if rates.is_empty() {
        return Ok(());
    }
    let root = SVGBackend::new(path, (WIDTH, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "random gets a second by millions of keys",
            ("sans-serif", 16),
        )
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(80)
        .build_cartesian_2d((0.9..18.0).log_scale(), (least..most).log_scale())?;
    chart
        .configure_mesh()
        .x_label_formatter(&|millions| format!("{millions}M"))
        .y_label_formatter(&|rate| short(*rate))
        .label_style(("sans-serif", 12))
        .draw()?;
    for engine in &table.engines {
        let color = color(engine);
        chart
            .draw_series(LineSeries::new(points(engine), color.stroke_width(2)).point_size(4))?
            .label(engine)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(root.present()?)
}

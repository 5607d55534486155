//! Plots of a table as SVG: for each row how many times better ours is than each peer, and how gets
//! grow slower with the number of keys.
//!
//! An engine has a shape and a colour of its own; the colours are those of Okabe and Ito, which people
//! who see colours differently can tell apart. Nothing is cut off silently: what lies beyond the axis
//! stands at its edge with an arrow and its number.

use std::fs;
use std::path::Path;

use super::kind::Kind;
use super::row::{Spread, TableRow, short};
use super::svg::{Anchor, Shape, Svg};
use super::table::Table;
use crate::Result;

const WIDTH: f64 = 960.0;
/// Where the axis begins and ends.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 930.0;
/// Above the first row: title, what it was measured on, how to read it, engines, axis.
const TOP: f64 = 132.0;
const HEADING_HEIGHT: f64 = 26.0;
/// Between the marks of two engines in one row.
const LANE_HEIGHT: f64 = 6.5;
/// Above and below the marks of a row.
const ROW_PADDING: f64 = 9.0;
const BOTTOM: f64 = 40.0;
/// Powers of ten, the most that an axis goes to either side of 1. More would squeeze what matters.
const DECADES_MAX: f64 = 3.0;

const GREY: &str = "#666";
/// From a mark's middle to where something else may stand.
const MARK_WIDTH: f64 = 7.0;

struct Look {
    shape: Shape,
    color: &'static str,
}

fn look(engine: &str) -> Look {
    let (shape, color) = match engine {
        "ours" => (Shape::Ring, "#000000"),
        "fjall" => (Shape::Circle, "#D55E00"),
        "redb" => (Shape::Square, "#CC79A7"),
        "lmdb" => (Shape::Triangle, "#009E73"),
        "rocksdb" => (Shape::Diamond, "#0072B2"),
        "1x" => (Shape::Cross, "#E69F00"),
        "sled" => (Shape::TriangleDown, "#56B4E9"),
        _ => (Shape::Plus, GREY),
    };
    Look { shape, color }
}

/// Where ratios stand: a logarithmic axis.
struct Axis {
    /// Powers of ten at its ends.
    first: f64,
    last: f64,
}

impl Axis {
    /// Over everything that is to be shown, 1 and a power of ten on each side at least.
    fn over(spreads: impl Iterator<Item = Spread>) -> Self {
        let (mut first, mut last) = (-1.0_f64, 1.0_f64);
        for spread in spreads {
            first = first.min(spread.min.log10().floor());
            last = last.max(spread.max.log10().ceil());
        }
        Self {
            first: first.max(-DECADES_MAX),
            last: last.min(DECADES_MAX),
        }
    }

    /// Where it stands, and whether that is beyond the end.
    fn place(&self, times: f64) -> (f64, bool) {
        let power = times.log10();
        let within = power.clamp(self.first, self.last);
        let part = (within - self.first) / (self.last - self.first);
        (LEFT + part * (RIGHT - LEFT), within != power)
    }

    fn draw(&self, svg: &mut Svg, top: f64, bottom: f64) {
        let mut power = self.first;
        while power <= self.last {
            let decade = 10_f64.powf(power);
            for step in 1..10 {
                let (x, is_beyond) = self.place(decade * f64::from(step));
                if !is_beyond {
                    let color = if step == 1 { "#bbb" } else { "#eee" };
                    svg.line([x, top], [x, bottom], color, 1.0);
                }
            }
            let (x, _) = self.place(decade);
            for y in [top - 6.0, bottom + 16.0] {
                svg.text([x, y], Anchor::Middle, "", &format!("{decade} ×"));
            }
            power += 1.0;
        }
        let (x, _) = self.place(1.0);
        svg.line([x, top], [x, bottom], "#000", 2.0);
        let style = format!(r#"fill="{GREY}""#);
        svg.text(
            [x - 8.0, bottom + 32.0],
            Anchor::End,
            &style,
            "← the peer is better",
        );
        svg.text(
            [x + 8.0, bottom + 32.0],
            Anchor::Start,
            &style,
            "ours is better →",
        );
    }
}

/// The rows that can be drawn, by kind.
fn groups(table: &Table) -> Vec<(Kind, Vec<&TableRow>)> {
    let groups = Kind::ALL.into_iter().map(|kind| {
        let rows = table.rows.iter();
        let of_kind = rows.filter(|row| Kind::of(&row.name, &row.unit) == kind);
        let drawn = of_kind.filter(|row| table.peers().any(|peer| row.times(peer).is_some()));
        (kind, drawn.collect::<Vec<_>>())
    });
    groups.filter(|(_, rows)| !rows.is_empty()).collect()
}

/// A line for each row, a mark for each peer; to the right of 1, ours is better.
pub fn draw(table: &Table, path: &Path) -> Result<()> {
    let groups = groups(table);
    if groups.is_empty() {
        return Ok(());
    }
    Ok(fs::write(path, comparison(table, &groups))?)
}

fn comparison(table: &Table, groups: &[(Kind, Vec<&TableRow>)]) -> String {
    let peers: Vec<&str> = table.peers().collect();
    let row_height = LANE_HEIGHT * (peers.len() as f64 - 1.0) + 2.0 * ROW_PADDING;
    let rows = groups.iter().map(|(_, rows)| rows.len()).sum::<usize>() as f64;
    let bottom = TOP + HEADING_HEIGHT * groups.len() as f64 + row_height * rows;
    let spreads = groups.iter().flat_map(|(_, rows)| rows);
    let axis = Axis::over(spreads.flat_map(|row| peers.iter().filter_map(|peer| row.times(peer))));

    let mut svg = Svg::new(WIDTH, bottom + BOTTOM);
    let title = format!(
        "{}: how many times better ours is than each peer",
        table.suite
    );
    opening(&mut svg, table, &title, &how_to_read(table.rounds));
    legend(&mut svg, &peers, 92.0);

    let mut top = TOP;
    let mut places = Vec::new();
    for (kind, rows) in groups {
        svg.rectangle([0.0, top], [WIDTH, HEADING_HEIGHT], "#e4e4e4");
        let style = r#"font-weight="bold" stroke-opacity="0""#;
        svg.text([10.0, top + 17.0], Anchor::Start, style, kind.title());
        top += HEADING_HEIGHT;
        for (index, row) in rows.iter().enumerate() {
            if index % 2 == 1 {
                svg.rectangle([0.0, top], [WIDTH, row_height], "#f6f6f6");
            }
            places.push((*row, top + row_height / 2.0));
            top += row_height;
        }
    }
    axis.draw(&mut svg, TOP, bottom);
    for (row, middle) in places {
        svg.text([LEFT - 14.0, middle + 4.0], Anchor::End, "", &row.name);
        draw_row(&mut svg, &axis, row, &peers, middle);
    }
    svg.finish(&title)
}

/// The marks of a row, each peer's in a lane of its own.
fn draw_row(svg: &mut Svg, axis: &Axis, row: &TableRow, peers: &[&str], middle: f64) {
    let first = middle - LANE_HEIGHT * (peers.len() as f64 - 1.0) / 2.0;
    // What stands at the left end, and at the right; and where bars are that a text must not cover.
    let mut beyond: [Vec<String>; 2] = Default::default();
    let mut bars = Vec::new();
    for (lane, peer) in peers.iter().enumerate() {
        let Some(times) = row.times(peer) else {
            continue;
        };
        let y = first + LANE_HEIGHT * lane as f64;
        let Look { shape, color } = look(peer);
        let (from, starts_beyond) = axis.place(times.min);
        let (to, ends_beyond) = axis.place(times.max);
        svg.line([from, y], [to, y], color, 1.5);
        for (x, is_beyond) in [(from, starts_beyond), (to, ends_beyond)] {
            if !is_beyond && from != to {
                svg.line([x, y - 3.0], [x, y + 3.0], color, 1.5);
            }
        }
        let (x, is_beyond) = axis.place(times.median);
        let is_right = times.median > 1.0;
        if is_beyond {
            let outward = if is_right { 1.0 } else { -1.0 };
            svg.mark(shape, [x - outward * 4.0, y], color);
            svg.arrow([x + outward * 11.0, y], is_right, color);
            beyond[usize::from(is_right)].push(format!("{peer} {} ×", short(times.median)));
        } else {
            svg.mark(shape, [x, y], color);
            bars.push((from.min(x) - MARK_WIDTH, to.max(x) + MARK_WIDTH));
            // A bar that goes on beyond the end of the axis.
            if starts_beyond {
                svg.arrow([from - 11.0, y], false, color);
            }
            if ends_beyond {
                svg.arrow([to + 11.0, y], true, color);
            }
        }
    }
    let [left, right] = beyond.map(|names| names.join(", "));
    let style = r#"font-size="10""#;
    if !left.is_empty() {
        let x = clear_of(&bars, LEFT + 12.0, text_width(&left), 1.0);
        svg.text([x, middle + 3.5], Anchor::Start, style, &left);
    }
    if !right.is_empty() {
        let x = clear_of(&bars, RIGHT - 14.0, text_width(&right), -1.0);
        svg.text([x, middle + 3.5], Anchor::End, style, &right);
    }
}

/// Of a text of small letters, at most.
fn text_width(text: &str) -> f64 {
    6.0 * text.chars().count() as f64
}

/// Where a text begins that covers no bar: at `x` or further in the direction, which is 1 or -1.
fn clear_of(bars: &[(f64, f64)], mut x: f64, width: f64, direction: f64) -> f64 {
    // Each bar is passed once at most, so this ends.
    for _ in bars {
        let (first, last) = if direction > 0.0 {
            (x, x + width)
        } else {
            (x - width, x)
        };
        let Some((from, to)) = bars.iter().find(|(from, to)| *from < last && *to > first) else {
            break;
        };
        x = if direction > 0.0 { *to } else { *from };
    }
    x
}

fn how_to_read(rounds: usize) -> String {
    match rounds {
        0 | 1 => "A mark divides the figures of one round, so there are no bars.".to_owned(),
        _ => format!(
            "A mark divides the medians of {rounds} rounds; its bar goes from the least to the most \
             that any two rounds give."
        ),
    }
}

/// What the picture shows, of what, and how to read it.
fn opening(svg: &mut Svg, table: &Table, title: &str, how: &str) {
    let style = r#"font-size="16" font-weight="bold""#;
    svg.text([10.0, 24.0], Anchor::Start, style, title);
    let style = format!(r#"fill="{GREY}""#);
    svg.text([10.0, 44.0], Anchor::Start, &style, &table.provenance());
    svg.text([10.0, 62.0], Anchor::Start, &style, how);
}

fn legend(svg: &mut Svg, engines: &[&str], y: f64) {
    let mut x = LEFT;
    for engine in engines {
        let Look { shape, color } = look(engine);
        svg.mark(shape, [x, y - 4.0], color);
        let name = if *engine == "1x" {
            "1x (lsm-db 1.1.0)"
        } else {
            engine
        };
        svg.text([x + 11.0, y], Anchor::Start, "", name);
        x += 48.0 + 7.0 * name.len() as f64;
    }
}

/// Numbers of keys, in millions.
const MILLIONS: [f64; 3] = [1.0, 4.0, 16.0];
const GROWTH_TOP: f64 = 110.0;
const GROWTH_BOTTOM: f64 = 420.0;
const GROWTH_LEFT: f64 = 90.0;

/// Gets a second by the number of keys, a line for each engine.
pub fn draw_growth(table: &Table, path: &Path) -> Result<()> {
    let points = |engine: &str| {
        let points = MILLIONS.iter().filter_map(|millions| {
            let name = format!("{millions}M keys: random gets");
            let row = table.rows.iter().find(|row| row.name == name)?;
            Some((*millions, row.spread(engine)?))
        });
        points.collect::<Vec<_>>()
    };
    let lines: Vec<(&str, Vec<(f64, Spread)>)> = table
        .engines
        .iter()
        .map(|engine| (engine.as_str(), points(engine)))
        .filter(|(_, points)| !points.is_empty())
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    Ok(fs::write(path, growth(table, &lines))?)
}

fn growth(table: &Table, lines: &[(&str, Vec<(f64, Spread)>)]) -> String {
    let rates = || lines.iter().flat_map(|(_, points)| points);
    let least = rates().fold(f64::INFINITY, |least, (_, rate)| least.min(rate.min)) / 1.3;
    let most = rates().fold(1.0, |most: f64, (_, rate)| most.max(rate.max)) * 1.3;
    let height = GROWTH_BOTTOM - GROWTH_TOP;
    let y = |rate: f64| GROWTH_BOTTOM - (rate / least).ln() / (most / least).ln() * height;
    let x = |millions: f64| {
        let part = (millions / 0.8).ln() / (20.0_f64 / 0.8).ln();
        GROWTH_LEFT + part * (RIGHT - GROWTH_LEFT)
    };

    let mut svg = Svg::new(WIDTH, GROWTH_BOTTOM + BOTTOM);
    let title = "scale: random gets a second by the number of keys";
    let how = match table.rounds {
        0 | 1 => "Both axes are logarithmic. One round, so there are no bars.".to_owned(),
        rounds => format!(
            "Both axes are logarithmic. The median of {rounds} rounds, bars from the least to the most."
        ),
    };
    opening(&mut svg, table, title, &how);
    let engines: Vec<&str> = lines.iter().map(|(engine, _)| *engine).collect();
    legend(&mut svg, &engines, 92.0);
    for power in 0..12 {
        for step in [1.0, 2.0, 5.0] {
            let rate = step * 10_f64.powi(power);
            if (least..=most).contains(&rate) {
                svg.line([GROWTH_LEFT, y(rate)], [RIGHT, y(rate)], "#ddd", 1.0);
                svg.text(
                    [GROWTH_LEFT - 8.0, y(rate) + 4.0],
                    Anchor::End,
                    "",
                    &short(rate),
                );
            }
        }
    }
    for millions in MILLIONS {
        svg.line(
            [x(millions), GROWTH_TOP],
            [x(millions), GROWTH_BOTTOM],
            "#ddd",
            1.0,
        );
        let label = format!("{millions} million keys");
        svg.text(
            [x(millions), GROWTH_BOTTOM + 18.0],
            Anchor::Middle,
            "",
            &label,
        );
    }
    for (engine, points) in lines {
        let Look { shape, color } = look(engine);
        for pair in points.windows(2) {
            if let [(from, before), (to, after)] = pair {
                let ends = [[x(*from), y(before.median)], [x(*to), y(after.median)]];
                svg.line(ends[0], ends[1], color, 2.0);
            }
        }
        for (millions, rate) in points {
            let at = x(*millions);
            svg.line([at, y(rate.min)], [at, y(rate.max)], color, 1.5);
            svg.mark(shape, [at, y(rate.median)], color);
        }
    }
    svg.finish(title)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Better;

    fn table(rows: &[(&str, [f64; 3], [f64; 3])]) -> Table {
        let rows = rows.iter().map(|(name, ours, peer)| TableRow {
            name: (*name).to_owned(),
            unit: "/s".to_owned(),
            better: Better::More,
            values: [("ours", *ours), ("fjall", *peer)]
                .map(|(engine, spread)| (engine.to_owned(), spread.into()))
                .into(),
            best: None,
            processor: None,
        });
        Table {
            suite: "core".to_owned(),
            commit: "abc".to_owned(),
            date: "2026-01-02".to_owned(),
            rounds: 2,
            engines: vec!["ours".to_owned(), "fjall".to_owned()],
            rows: rows.collect(),
            ..Table::default()
        }
    }

    fn drawn(rows: &[(&str, [f64; 3], [f64; 3])]) -> String {
        let table = table(rows);
        comparison(&table, &groups(&table))
    }

    #[test]
    fn what_lies_beyond_the_axis_is_marked_with_its_number() {
        let far = ("seek", [5e6; 3], [2.0; 3]);
        let picture = drawn(&[far, ("gets", [3.0; 3], [2.0; 3])]);
        assert!(picture.contains("fjall 2.50M ×"), "{picture}");
        let near = drawn(&[("seek", [900.0; 3], [2.0; 3])]);
        assert!(!near.contains("fjall 450"), "{near}");
    }

    #[test]
    fn a_text_at_the_edge_covers_no_bar() {
        let bars = [(20.0, 30.0), (28.0, 45.0), (90.0, 95.0)];
        assert_eq!(clear_of(&bars, 10.0, 5.0, 1.0), 10.0);
        assert_eq!(clear_of(&bars, 10.0, 30.0, 1.0), 45.0);
        assert_eq!(clear_of(&bars, 99.0, 30.0, -1.0), 90.0);
    }

    #[test]
    fn a_bar_beyond_the_axis_ends_in_an_arrow() {
        let arrows = |most| {
            let picture = drawn(&[("gets", [3.0, 2.0, most], [2.0, 1.0, 3.0])]);
            picture.matches("<polygon").count()
        };
        assert_eq!((arrows(30.0), arrows(3e6)), (0, 1));
    }

    #[test]
    fn a_picture_says_what_it_is_of() {
        let picture = drawn(&[("gets", [3.0, 2.0, 4.0], [2.0, 1.0, 3.0])]);
        assert!(picture.contains("commit abc"), "{picture}");
        assert!(picture.contains("2026-01-02"), "{picture}");
    }

    #[test]
    fn rows_stand_by_kind() {
        let picture = drawn(&[
            ("seek", [1.0; 3], [1.0; 3]),
            ("puts", [1.0; 3], [1.0; 3]),
            ("full scan", [1.0; 3], [1.0; 3]),
        ]);
        let places = [
            ">Writes<",
            ">puts<",
            ">Scans and seeks<",
            ">seek<",
            ">full scan<",
        ]
        .map(|text| picture.find(text));
        // Headings are drawn before names, so each is compared with its own.
        assert!(places.iter().all(Option::is_some), "{picture}");
        assert!(places[0] < places[2], "{picture}");
        assert!(places[1] < places[3] && places[3] < places[4], "{picture}");
    }

    #[test]
    fn engines_differ_in_shape_and_in_colour() {
        let engines = [
            "ours", "fjall", "redb", "lmdb", "rocksdb", "1x", "sled", "another",
        ];
        let looks = engines.map(look);
        for (index, one) in looks.iter().enumerate() {
            for other in &looks[..index] {
                assert_ne!(one.shape, other.shape);
                assert_ne!(one.color, other.color);
            }
        }
    }
}

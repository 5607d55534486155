//! The few shapes that the plots are made of, as SVG. It knows nothing of engines and rows, and needs
//! neither fonts nor libraries of the system.

use std::fmt::Write;

/// A picture that grows.
pub struct Svg {
    width: f64,
    height: f64,
    body: String,
}

/// How a text stands to its place.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// What a mark looks like, so that engines can be told apart without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Cross,
    TriangleDown,
    Ring,
    Plus,
}

/// Half the width of a mark.
const MARK: f64 = 4.5;

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            body: String::new(),
        }
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    pub fn rectangle(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], fill: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}"/>"#
        ));
    }

    pub fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], stroke: &str, width: f64) {
        self.add(format_args!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{stroke}" stroke-width="{width}"/>"#
        ));
    }

    /// A text with a rim of white, to be read above lines.
    pub fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        self.add(format_args!(
            r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" stroke="#fff" stroke-width="3" paint-order="stroke" {style}>{text}</text>"##
        ));
    }

    pub fn mark(&mut self, shape: Shape, [x, y]: [f64; 2], color: &str) {
        let m = MARK;
        let polygon = |points: &[[f64; 2]]| {
            let points = points.iter();
            let points = points.map(|[dx, dy]| format!("{:.1},{:.1}", x + dx * m, y + dy * m));
            let points = points.collect::<Vec<_>>().join(" ");
            format!(r#"<polygon points="{points}" fill="{color}"/>"#)
        };
        let element = match shape {
            Shape::Circle => format!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="{m}" fill="{color}"/>"#),
            Shape::Ring => format!(
                r##"<circle cx="{x:.1}" cy="{y:.1}" r="{m}" fill="#fff" stroke="{color}" stroke-width="2"/>"##
            ),
            Shape::Square => polygon(&[[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]]),
            Shape::Triangle => polygon(&[[0.0, -1.1], [1.1, 0.9], [-1.1, 0.9]]),
            Shape::TriangleDown => polygon(&[[0.0, 1.1], [1.1, -0.9], [-1.1, -0.9]]),
            Shape::Diamond => polygon(&[[0.0, -1.25], [1.25, 0.0], [0.0, 1.25], [-1.25, 0.0]]),
            Shape::Plus => format!(
                r#"<path d="M{:.1} {y:.1}h{d}M{x:.1} {:.1}v{d}" stroke="{color}" stroke-width="2.5" fill="none"/>"#,
                x - m,
                y - m,
                d = m * 2.0
            ),
            Shape::Cross => format!(
                r#"<path d="M{:.1} {:.1}l{d} {d}m0 -{d}l-{d} {d}" stroke="{color}" stroke-width="2.5" fill="none"/>"#,
                x - m * 0.9,
                y - m * 0.9,
                d = m * 1.8
            ),
        };
        self.add(format_args!("{element}"));
    }

    /// An arrow head whose point is at `x`, to the right or to the left.
    pub fn arrow(&mut self, [x, y]: [f64; 2], is_right: bool, color: &str) {
        let back = if is_right { -8.0 } else { 8.0 };
        self.add(format_args!(
            r#"<polygon points="{x:.1},{y:.1} {b:.1},{top:.1} {b:.1},{bottom:.1}" fill="{color}"/>"#,
            b = x + back,
            top = y - 3.5,
            bottom = y + 3.5
        ));
    }

    /// The whole file.
    pub fn finish(self, title: &str) -> String {
        let Self {
            width,
            height,
            body,
        } = self;
        let title = escaped(title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <title>{title}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n{body}</svg>\n"
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_element() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text([0.0, 0.0], Anchor::Start, "", "a < b & c");
        let text = svg.finish("<title>");
        assert!(text.contains("a &lt; b &amp; c"));
        assert!(text.contains("<title>&lt;title&gt;</title>"));
    }
}

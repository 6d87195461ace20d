//! A plot with lines: a frame, marks on both axes, one line per broker, and the values for whoever points at it.

use std::fmt::Write as _;

use super::axis::Axis;
use super::{escape, style_of};
use crate::numbers;

/// The drawing, in units that are about a pixel of a phone.
const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 42.0;
/// With no more points than these, each is a dot too.
const DOTS_MAX: usize = 12;
/// Points nearer to each other than this are drawn as one.
const NEAR: f64 = 1.5;

/// A broker's line.
pub(super) struct Line {
    /// Its place in the list of labels, which is its colour.
    pub(super) at: usize,
    pub(super) label: String,
    /// Rising in x.
    pub(super) points: Vec<[f64; 2]>,
}

pub(super) struct Plot<'a> {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) x_name: &'a str,
    pub(super) x_text: &'a dyn Fn(f64) -> String,
    pub(super) y: Axis,
    pub(super) y_name: &'a str,
    pub(super) y_text: &'a dyn Fn(f64) -> String,
    pub(super) lines: Vec<Line>,
}

impl Plot<'_> {
    fn place_x(&self, x: f64) -> f64 {
        LEFT + self.x.part(x) * (WIDTH - LEFT - RIGHT)
    }

    fn place_y(&self, y: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.part(y) * (HEIGHT - TOP - BOTTOM)
    }

    pub(super) fn draw(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(&format!("{}: {} by {}", self.title, self.y_name, self.x_name))
        );
        self.frame(out);
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            self.line(out, line);
        }
        let _ =
            writeln!(out, "<line class=\"cross\" y1=\"{TOP}\" y2=\"{}\" x1=\"0\" x2=\"0\"/></svg>", HEIGHT - BOTTOM);
    }

    fn frame(&self, out: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for mark in &self.y.marks {
            let y = self.place_y(*mark);
            let _ = write!(out, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        }
        for mark in self.y.words(7) {
            let (x, y) = (LEFT - 7.0, self.place_y(mark) + 4.0);
            let _ = write!(
                out,
                "<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{}</text>",
                escape(&numbers::mark(&(self.y_text)(mark)))
            );
        }
        for mark in &self.x.marks {
            let x = self.place_x(*mark);
            let _ = write!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
        }
        for mark in self.x.words(7) {
            let (x, y) = (self.place_x(mark), bottom + 16.0);
            let _ = write!(
                out,
                "<text class=\"mid\" x=\"{x:.1}\" y=\"{y}\">{}</text>",
                escape(&numbers::mark(&(self.x_text)(mark)))
            );
        }
        let logarithmic = if self.y.is_log() { ", log scale" } else { "" };
        let _ = writeln!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"name\" x=\"4\" y=\"14\">{}{logarithmic}</text>\
             <text class=\"name end\" x=\"{right}\" y=\"{}\">{}</text>",
            escape(self.y_name),
            HEIGHT - 6.0,
            escape(self.x_name)
        );
    }

    /// The line, its dots where they are few, and for the script each point's place and texts.
    fn line(&self, out: &mut String, line: &Line) {
        let points = self.thinned(&line.points);
        let mut places = String::new();
        let mut values = String::from("[");
        for (at, [x, y]) in points.iter().enumerate() {
            let (left, top) = (self.place_x(*x), self.place_y(*y));
            let _ = write!(places, "{}{left:.1},{top:.1}", if at > 0 { " " } else { "" });
            let texts = [(self.x_text)(*x), (self.y_text)(*y)].map(|text| text.replace(['"', '\\'], ""));
            let comma = if at > 0 { "," } else { "" };
            let _ = write!(values, "{comma}[{left:.1},\"{}\",\"{}\"]", texts[0], texts[1]);
        }
        values.push(']');
        let _ = write!(
            out,
            "<g class=\"line {}\" data-of=\"{}\" data-label=\"{}\" data-points=\"{}\"><polyline class=\"stroke\" points=\"{places}\"/>",
            style_of(line.at),
            line.at,
            escape(&line.label),
            escape(&values)
        );
        if points.len() <= DOTS_MAX {
            for [x, y] in &points {
                let _ = write!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", self.place_x(*x), self.place_y(*y));
            }
        }
        out.push_str("</g>\n");
    }

    /// Without points that would lie on the one before; the last stays.
    fn thinned(&self, points: &[[f64; 2]]) -> Vec<[f64; 2]> {
        let mut kept: Vec<[f64; 2]> = Vec::new();
        for (at, point) in points.iter().enumerate() {
            let is_near = kept.last().is_some_and(|last| {
                (self.place_x(last[0]) - self.place_x(point[0])).abs() < NEAR
                    && (self.place_y(last[1]) - self.place_y(point[1])).abs() < NEAR
            });
            if !is_near || at + 1 == points.len() {
                kept.push(*point);
            }
        }
        kept
    }
}

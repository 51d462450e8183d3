//! Paper and pen for charts: SVG by plotters, in colours that the page chooses. It knows lines, rectangles, marks and
//! text, not what they mean.

use plotters::coord::Shift;
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::prelude::{DrawingArea, IntoDrawingArea as _, RGBColor, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontFamily, FontStyle, IntoTextStyle as _, ShapeStyle};

use super::escape;

/// The width of every chart, in pixels before the page scales it.
pub(super) const WIDTH: f64 = 760.0;

/// plotters counts in whole pixels: it is given a sheet so many times as large, for lines without steps.
const FINE: f64 = 10.0;

/// How many colours there are for contestants; further ones begin again, with another mark.
pub(super) const SERIES: usize = 8;

/// A colour by its use. The page says which it is, in light and in dark: each is a CSS variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    /// Text that is read first.
    Text,
    /// Labels of axes.
    Faint,
    /// Lines of a grid.
    Grid,
    /// The paper, to set marks off from lines.
    Paper,
    /// The contestant in this place.
    Series(usize),
    /// A part of a bar.
    Part(Part),
}

/// Parts of bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Exec,
    Program,
    FirstAnswer,
    GatewayUser,
    GatewaySystem,
    ProgramUser,
    ProgramSystem,
}

impl Part {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Exec, "exec"),
        (Self::Program, "program"),
        (Self::FirstAnswer, "first"),
        (Self::GatewayUser, "gateway-user"),
        (Self::GatewaySystem, "gateway-system"),
        (Self::ProgramUser, "program-user"),
        (Self::ProgramSystem, "program-system"),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(part, _)| *part == self).map_or("program", |(_, name)| name)
    }
}

impl Ink {
    /// The value of a CSS colour: a variable.
    pub(super) fn css(self) -> String {
        match self {
            Self::Text => "var(--text)".to_owned(),
            Self::Faint => "var(--faint)".to_owned(),
            Self::Grid => "var(--grid)".to_owned(),
            Self::Paper => "var(--paper)".to_owned(),
            Self::Series(place) => format!("var(--series-{})", place % SERIES),
            Self::Part(part) => format!("var(--{})", part.name()),
        }
    }

    /// A colour that stands for it until the drawing is finished.
    fn stand_in(self) -> RGBColor {
        let place = |place: usize| u8::try_from(place % SERIES).unwrap_or(0);
        match self {
            Self::Text => RGBColor(1, 0, 0),
            Self::Faint => RGBColor(1, 0, 1),
            Self::Grid => RGBColor(1, 0, 2),
            Self::Paper => RGBColor(1, 0, 3),
            Self::Series(at) => RGBColor(1, 1, place(at)),
            Self::Part(part) => {
                RGBColor(1, 2, place(Part::ALL.iter().position(|(one, _)| *one == part).unwrap_or(0)))
            }
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let plain = [Self::Text, Self::Faint, Self::Grid, Self::Paper];
        let parts = Part::ALL.into_iter().map(|(part, _)| Self::Part(part));
        plain.into_iter().chain((0..SERIES).map(Self::Series)).chain(parts)
    }
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// plotters could not draw. It writes into memory, so this does not happen; if it does, it is not ours to hide.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw a chart: {0}")]
pub struct ChartError(String);

/// The outcome of drawing.
pub(super) type Drawn = Result<(), ChartError>;

/// The corners of a contestant's mark, for a size of one; none for a circle.
fn corners(place: usize) -> &'static [(f64, f64)] {
    match place % 4 {
        0 => &[],
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
        _ => &[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)],
    }
}

/// A contestant's mark alone, for a legend.
pub(super) fn key(place: usize) -> String {
    let points: Vec<String> =
        corners(place).iter().map(|(x, y)| format!("{:.2},{:.2}", x * 5.0, y * 5.0)).collect();
    let shape = match points.as_slice() {
        [] => "<circle r=\"5\"/>".to_owned(),
        points => format!("<polygon points=\"{}\"/>", points.join(" ")),
    };
    let colour = Ink::Series(place).css();
    format!("<svg class=\"key\" viewBox=\"-8 -8 16 16\" aria-hidden=\"true\" fill=\"{colour}\">{shape}</svg>")
}

/// Draws on a sheet, in pixels from its upper left corner.
pub(super) struct Pen<'s> {
    sheet: DrawingArea<SVGBackend<'s>, Shift>,
}

/// Draws a chart [`WIDTH`] wide. `id` is a word that no other chart of the page has; `title` and `description` are for
/// those who do not see it.
pub(super) fn chart(
    id: &str,
    title: &str,
    description: &str,
    height: f64,
    draw: impl FnOnce(&Pen<'_>) -> Drawn,
) -> Result<String, ChartError> {
    let mut svg = String::new();
    let size = (fine(WIDTH).unsigned_abs(), fine(height).unsigned_abs());
    let pen = Pen { sheet: SVGBackend::with_string(&mut svg, size).into_drawing_area() };
    draw(&pen)?;
    pen.sheet.present().map_err(broken)?;
    drop(pen);
    // In the drawing's own tag, only what the page needs; before the first shape, its name.
    let shapes = svg.split_once('>').map_or("", |(_, shapes)| shapes);
    let mut shapes = shapes.replace(" font-family=\"sans-serif\"", "").replace(" opacity=\"1\"", "");
    for ink in Ink::all() {
        let RGBColor(red, green, blue) = ink.stand_in();
        // In quotes, which no text of a drawing can hold.
        shapes =
            shapes.replace(&format!("=\"#{red:02X}{green:02X}{blue:02X}\""), &format!("=\"{}\"", ink.css()));
    }
    Ok(format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-title {id}-description\" \
         xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"{id}-title\">{}</title>\n\
         <desc id=\"{id}-description\">{}</desc>{shapes}",
        size.0,
        size.1,
        escape::markup(title),
        escape::markup(description),
    ))
}

fn broken(error: impl std::fmt::Display) -> ChartError {
    ChartError(error.to_string())
}

#[allow(clippy::cast_possible_truncation, reason = "clamped to what an SVG is wide")]
fn fine(pixels: f64) -> i32 {
    (pixels * FINE).clamp(-1e6, 1e6).round() as i32
}

fn at((x, y): (f64, f64)) -> (i32, i32) {
    (fine(x), fine(y))
}

impl Pen<'_> {
    /// A line through points.
    pub(super) fn line(&self, points: &[(f64, f64)], ink: Ink, width: f64) -> Drawn {
        let style = ShapeStyle { stroke_width: fine(width).unsigned_abs(), ..ink.stand_in().into() };
        let points: Vec<(i32, i32)> = points.iter().copied().map(at).collect();
        self.sheet.draw(&PathElement::new(points, style)).map_err(broken)
    }

    /// A straight line in dashes.
    pub(super) fn dashes(&self, from: (f64, f64), to: (f64, f64), ink: Ink) -> Drawn {
        const DASH: f64 = 4.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let point = |along: f64| {
            let share = (along / length).min(1.0);
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        let mut along = 0.0;
        while along < length {
            self.line(&[point(along), point(along + DASH)], ink, 1.2)?;
            along += 2.0 * DASH;
        }
        Ok(())
    }

    /// A filled rectangle between two corners.
    pub(super) fn rectangle(&self, from: (f64, f64), to: (f64, f64), ink: Ink) -> Drawn {
        let style = ShapeStyle::from(ink.stand_in()).filled();
        self.sheet.draw(&Rectangle::new([at(from), at(to)], style)).map_err(broken)
    }

    /// A mark: its shape and colour tell which contestant it belongs to.
    pub(super) fn mark(&self, (x, y): (f64, f64), place: usize) -> Drawn {
        for (size, ink) in [(6.5, Ink::Paper), (4.5, Ink::Series(place))] {
            let style = ShapeStyle::from(ink.stand_in()).filled();
            let corners = corners(place);
            if corners.is_empty() {
                self.sheet.draw(&Circle::new(at((x, y)), fine(size), style)).map_err(broken)?;
                continue;
            }
            let corners: Vec<_> = corners.iter().map(|(dx, dy)| at((x + dx * size, y + dy * size))).collect();
            self.sheet.draw(&Polygon::new(corners, style)).map_err(broken)?;
        }
        Ok(())
    }

    /// A ring around a point that matters.
    pub(super) fn ring(&self, centre: (f64, f64)) -> Drawn {
        for (radius, ink) in [(7.0, Ink::Text), (4.5, Ink::Paper)] {
            let style = ShapeStyle::from(ink.stand_in()).filled();
            self.sheet.draw(&Circle::new(at(centre), fine(radius), style)).map_err(broken)?;
        }
        Ok(())
    }

    /// Text whose middle line is at the height of the point.
    pub(super) fn text(&self, text: &str, point: (f64, f64), anchor: Anchor, ink: Ink) -> Drawn {
        self.write(text, point, anchor, ink, FontStyle::Normal)
    }

    /// The same, bold.
    pub(super) fn bold(&self, text: &str, point: (f64, f64), anchor: Anchor, ink: Ink) -> Drawn {
        self.write(text, point, anchor, ink, FontStyle::Bold)
    }

    fn write(&self, text: &str, point: (f64, f64), anchor: Anchor, ink: Ink, style: FontStyle) -> Drawn {
        // plotters makes text smaller than it was told, by this factor.
        const SIZE: f64 = 13.0 * 1.24 * FINE;
        let h_pos = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let colour = ink.stand_in();
        let style = (FontFamily::SansSerif, SIZE, style, &colour)
            .into_text_style(&self.sheet)
            .pos(Pos::new(h_pos, VPos::Center));
        self.sheet.draw(&Text::new(escape::visible(text), at(point), style)).map_err(broken)
    }
}

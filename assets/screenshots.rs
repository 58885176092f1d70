//! Makes the README's pictures: starts `mailconsole demo` in a pseudo terminal, presses keys, and
//! draws what the terminal then shows as SVG.
//!
//! `cargo bench --bench screenshots` writes them to `assets/`. Needs no network.
#![expect(clippy::unwrap_used, reason = "a picture that cannot be made is not made")]

#[path = "../tests/tty/mod.rs"]
mod tty;

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::path::Path;

use vt100::{Cell, Color, Screen};

use crate::tty::{Terminal, connect};

/// Pixels of a character's cell.
const CELL: (u32, u32) = (9, 19);

/// Pixels around the screen.
const MARGIN: u32 = 12;

/// What the picture's terminal calls its colours: the sixteen of xterm, a little softer.
const COLOURS: [&str; 16] = [
    "#1c1f26", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
    "#6b7280", "#ff7b86", "#b5e090", "#ffd787", "#7cc4ff", "#de95f5", "#6fd3e0", "#ffffff",
];

const PAPER: &str = "#14171c";
const INK: &str = "#d7dae0";

fn main() {
    let first = Terminal::run(120, 40, |mut console| {
        console.extend(["--user", "bcpierce"].map(String::from));
        console
    });
    let first = first.shows("linhphan").shows("bcpierce");
    picture(&first, "first-run");
    first.press("\x03").ends_and_gives_the_terminal_back();
    let console = Terminal::run(120, 40, |console| vec![console[0].clone(), "demo".to_owned()]);
    let console = console.shows("RCPT TO:<car").shows("TRANSACTION bob").shows("550 5.1.1");
    let console = console.shows("bob: 1 came, 2 in all");
    picture(&console, "console");
    let console = console.press("v").shows("C: RCPT TO:<car …");
    picture(&console, "tiles");
    let mut splitter = connect(console.port("echo"));
    let console = console.press("v").shows("all connections").press("e").shows("wire");
    let mut console = console.shows("S: +OK Server ready");
    for (piece, seen) in [("ECH", "└ ECH"), ("O bl\tah\r\nEC", "└ EC"), ("HO blubb\r\n", "blubb␍␊")]
    {
        splitter.write_all(piece.as_bytes()).unwrap();
        console = console.shows(seen);
    }
    picture(&console, "wire");
    let console = console.press("e3").press("jj\r").shows("Lunch on Friday?").press("\r");
    let console = console.shows("menu.txt");
    picture(&console, "message");
    let console = console.press("1S").shows("Settings");
    picture(&console, "servers");
    console.press("\x03").ends_and_gives_the_terminal_back();
}

fn picture(console: &Terminal, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(format!("{name}.svg"));
    fs::write(&path, svg(&console.screen())).unwrap();
    println!("{}", path.display());
}

/// The screen as a picture: a box for each run of one background, a text for each run of one look.
fn svg(screen: &Screen) -> String {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let width = u32::from(columns) * CELL.0 + 2 * MARGIN;
    let height = u32::from(rows) * CELL.1 + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" \
         font-size=\"15\" xml:space=\"preserve\">\n"
    );
    for row in 0..rows {
        draw_row(screen, row, columns, &mut svg);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// What neighbouring cells must share to be drawn at once.
#[derive(PartialEq)]
struct Look {
    ink: String,
    paper: String,
    bold: bool,
    dim: bool,
    underline: bool,
}

impl Look {
    fn of(cell: &Cell) -> Self {
        let (ink, paper) = (colour(cell.fgcolor(), INK), colour(cell.bgcolor(), PAPER));
        let (ink, paper) = if cell.inverse() { (paper, ink) } else { (ink, paper) };
        Self { ink, paper, bold: cell.bold(), dim: cell.dim(), underline: cell.underline() }
    }
}

fn draw_row(screen: &Screen, row: u16, columns: u16, svg: &mut String) {
    let mut from = 0;
    while from < columns {
        let Some(first) = screen.cell(row, from) else { return };
        let look = Look::of(first);
        let mut text = String::new();
        let mut to = from;
        while let Some(cell) = screen.cell(row, to).filter(|_| to < columns) {
            // A wide character has its own place, because fonts do not agree on its width.
            if Look::of(cell) != look
                || (to > from && (cell.is_wide() || ends_in_wide(screen, row, to)))
            {
                break;
            }
            if !cell.is_wide_continuation() {
                text.push_str(if cell.has_contents() { cell.contents() } else { " " });
            }
            to += 1;
            if cell.is_wide() {
                to += 1;
                break;
            }
        }
        draw_run(row, from, to, &text, &look, svg);
        from = to;
    }
}

fn ends_in_wide(screen: &Screen, row: u16, column: u16) -> bool {
    screen.cell(row, column).is_some_and(Cell::is_wide_continuation)
}

fn draw_run(row: u16, from: u16, to: u16, text: &str, look: &Look, svg: &mut String) {
    let (x, y) = (MARGIN + u32::from(from) * CELL.0, MARGIN + u32::from(row) * CELL.1);
    let width = u32::from(to - from) * CELL.0;
    if look.paper != PAPER {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{}\"/>",
            CELL.1, look.paper
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let mut style = String::new();
    for (is_so, attribute) in [
        (look.bold, " font-weight=\"bold\""),
        (look.dim, " opacity=\"0.6\""),
        (look.underline, " text-decoration=\"underline\""),
    ] {
        style.push_str(if is_so { attribute } else { "" });
    }
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" fill=\"{}\" textLength=\"{width}\"{style}>{}</text>",
        y + CELL.1 * 3 / 4,
        look.ink,
        escaped(text)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(' ', "\u{a0}")
}

fn colour(colour: Color, usual: &str) -> String {
    match colour {
        Color::Default => usual.to_owned(),
        Color::Idx(n) => indexed(n),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

/// The colours of xterm: sixteen names, a cube, greys.
fn indexed(n: u8) -> String {
    if let Some(colour) = COLOURS.get(usize::from(n)) {
        return (*colour).to_owned();
    }
    let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
    let (red, green, blue) = match n.checked_sub(16) {
        Some(cube @ 0..216) => (level(cube / 36), level(cube / 6 % 6), level(cube % 6)),
        _ => {
            let grey = 8 + 10 * n.saturating_sub(232);
            (grey, grey, grey)
        }
    };
    format!("#{red:02x}{green:02x}{blue:02x}")
}

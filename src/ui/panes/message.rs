//! The open message: its header fields, attachments and text, or its source. Only the lines in view
//! are drawn; all lines are made once for each width.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use crate::console::action::{Action, Pane};
use crate::console::state::State;
use crate::console::state::appearance::LongRows;
use crate::console::state::pattern::Pattern;
use crate::console::state::viewer::{Line, Part, Room, Viewer};
use crate::mailroom::{Attachment, Shape};
use crate::ui::frame::{Titles, frame, inside, scroll_bar};
use crate::ui::hits::HitMap;
use crate::ui::text::{columns, cut, line, octets, put, width, wrap, wrap_words};
use crate::ui::theme::Theme;
use crate::wire::display::DisplayText;

/// Columns of the names of header fields.
const NAMES: u16 = 12;

/// The button that saves an attachment.
const SAVE: &str = "[save]";

/// Columns of the size of an attachment.
const SIZE: usize = 5;

/// Fits the open message into the area that [`draw`] will get.
pub fn fit(state: &mut State, area: Rect) {
    let text = text_area(area);
    let room = Room { width: text.width, long_rows: state.long_rows };
    if let Some(viewer) = state.reader.viewer_mut() {
        viewer.fit(room, usize::from(text.height), |viewer| lines(viewer, room));
    }
}

/// Draws the pane.
pub fn draw(state: &State, viewer: &Viewer, area: Rect, buffer: &mut Buffer, hits: &mut HitMap) {
    let (left, right) = (left_title(state, viewer), right_title(viewer));
    let titles = Titles { left: &left, right: &right };
    // A message belongs to the pane in which it was opened.
    let pane = if state.reader.queued().is_some() { Pane::Queue } else { Pane::Mailboxes };
    frame(state, pane, area, buffer, &titles);
    let text = text_area(area);
    for (n, shown) in viewer.in_view().take(usize::from(text.height)).enumerate() {
        if let Some(at) = line(text, n) {
            draw_line(state, viewer, *shown, at, buffer, hits);
        }
    }
    scroll_bar(area, buffer, &Theme::of(state.palette), viewer.extent());
}

/// The area inside the border, without a blank column on either side.
fn text_area(area: Rect) -> Rect {
    let inner = inside(area);
    Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner }
}

fn left_title(state: &State, viewer: &Viewer) -> String {
    let mailbox = match state.reader.queued() {
        Some(target) => format!(
            "queued for {}",
            DisplayText::from(target.recipient.as_deref().unwrap_or(&target.id))
        ),
        None => DisplayText::from(state.reader.mailbox().unwrap_or_default()).into_string(),
    };
    let summary = state.reader.summary_of(viewer.key());
    let number = summary.map(|summary| format!("  message {}", summary.number));
    let search = viewer.pattern().map(|pattern| {
        let pattern = DisplayText::from(pattern.as_str());
        match viewer.found() {
            (0, _) if viewer.left_out() > 0 => format!("  /{pattern} not found in the part shown"),
            (0, _) => format!("  /{pattern} not found"),
            (count, at) => format!("  /{pattern} {at} of {count}"),
        }
    });
    format!("{mailbox}{}{}", number.unwrap_or_default(), search.unwrap_or_default())
}

fn right_title(viewer: &Viewer) -> String {
    let size = octets(viewer.message().octets);
    match viewer.shape() {
        Shape::Text => size,
        Shape::Html => format!("HTML · {size}"),
        Shape::Raw => format!("raw · {size}"),
    }
}

/// All lines of the message in a view of this width.
fn lines(viewer: &Viewer, room: Room) -> Vec<Line> {
    let mut lines = match viewer.shape() {
        Shape::Text | Shape::Html => decoded_lines(viewer, room.width),
        Shape::Raw => raw_lines(viewer, room),
    };
    if end(viewer).is_some() {
        lines.push(single(Part::End));
    }
    lines
}

fn decoded_lines(viewer: &Viewer, most: u16) -> Vec<Line> {
    let message = viewer.message();
    let beside_names = usize::from(most.saturating_sub(NAMES));
    let mut lines = Vec::new();
    add_stretches(&mut lines, viewer, viewer.field_count(), Part::Field, |text| {
        wrap_words(text, beside_names)
    });
    let attachments = (0..message.attachments.len()).filter_map(short);
    lines.extend(attachments.map(|n| single(Part::Attachment(n))));
    lines.push(single(Part::Rule));
    add_stretches(&mut lines, viewer, viewer.text_lines(), Part::Text, |text| {
        wrap_words(text, usize::from(most))
    });
    lines
}

fn raw_lines(viewer: &Viewer, room: Room) -> Vec<Line> {
    let mut lines = Vec::new();
    add_stretches(&mut lines, viewer, viewer.text_lines(), Part::Text, |text| {
        match room.long_rows {
            LongRows::Cut => whole(text),
            LongRows::Wrapped => anywhere(text, usize::from(room.width)),
        }
    });
    lines
}

fn add_stretches(
    lines: &mut Vec<Line>,
    viewer: &Viewer,
    count: usize,
    part: impl Fn(u32) -> Part,
    wrapped: impl Fn(&str) -> Vec<Range<usize>>,
) {
    for part in (0..count).filter_map(short).map(part) {
        let stretches = wrapped(viewer.text(part)).into_iter();
        lines.extend(stretches.filter_map(|stretch| {
            Some(Line { part, from: short(stretch.start)?, to: short(stretch.end)? })
        }));
    }
}

const fn single(part: Part) -> Line {
    Line { part, from: 0, to: 0 }
}

fn short(number: usize) -> Option<u32> {
    u32::try_from(number).ok()
}

fn whole(text: &str) -> Vec<Range<usize>> {
    std::iter::once(0..text.len()).collect()
}

fn anywhere(text: &str, most: usize) -> Vec<Range<usize>> {
    let mut end = 0;
    let stretch = |piece: &str| {
        let start = end;
        end += piece.len();
        start..end
    };
    wrap(text, most).into_iter().map(stretch).collect()
}

/// The note after the text, if something was left out.
fn end(viewer: &Viewer) -> Option<String> {
    let left_out = viewer.left_out();
    (left_out > 0).then(|| format!("… {} more; s saves it whole", octets(left_out)))
}

fn draw_line(
    state: &State,
    viewer: &Viewer,
    shown: Line,
    at: Rect,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    let theme = Theme::of(state.palette);
    match shown.part {
        Part::Field(n) => {
            let name = viewer.field(n).filter(|_| shown.from == 0).map(|field| &field.name);
            draw_name(name.map_or("", label), at, &theme, buffer);
            let style = field_style(viewer, n, &theme);
            draw_text(viewer, shown, behind_name(at), style, &theme, buffer);
        }
        Part::Attachment(n) => draw_attachment(viewer, n, at, &theme, buffer, hits),
        Part::Rule => draw_rule(state, viewer, at, &theme, buffer),
        Part::Text(_) => {
            let style = text_style(viewer, shown.part, &theme);
            draw_text(viewer, shown, at, style, &theme, buffer);
        }
        Part::End => {
            let words = end(viewer).unwrap_or_default();
            put(buffer, at.as_position(), at.width, &words, theme.notice);
        }
    }
}

/// The name of a field as the column has room for it; the list of messages has the same words.
fn label(name: &DisplayText) -> &str {
    if name.as_str().eq_ignore_ascii_case("X-Original-To") { "Sent to" } else { name.as_str() }
}

fn draw_name(name: &str, at: Rect, theme: &Theme, buffer: &mut Buffer) {
    put(buffer, at.as_position(), NAMES - 1, name, theme.faint);
}

fn behind_name(at: Rect) -> Rect {
    let names = NAMES.min(at.width);
    Rect { x: at.x + names, width: at.width - names, ..at }
}

fn field_style(viewer: &Viewer, n: u32, theme: &Theme) -> Style {
    let is_subject =
        viewer.field(n).is_some_and(|field| field.name.as_str().eq_ignore_ascii_case("Subject"));
    if is_subject { theme.title } else { theme.text }
}

/// Quoted text is faint.
fn text_style(viewer: &Viewer, part: Part, theme: &Theme) -> Style {
    let is_quoted = viewer.shape() != Shape::Raw && viewer.text(part).starts_with('>');
    if is_quoted { theme.client } else { theme.text }
}

/// Draws the range of a part's text that a line shows, with the matches of the search.
fn draw_text(
    viewer: &Viewer,
    shown: Line,
    at: Rect,
    style: Style,
    theme: &Theme,
    buffer: &mut Buffer,
) {
    let stretch = viewer.text(shown.part).get(shown.range()).unwrap_or_default();
    put(buffer, at.as_position(), at.width, stretch.trim_end_matches(' '), style);
    if let Some(pattern) = viewer.pattern() {
        let fits = columns(&cut(stretch, usize::from(at.width)));
        let limit = Rect { width: fits.min(at.width), ..at };
        highlight(viewer, shown, pattern, limit, theme.found, buffer);
    }
}

/// Highlights the matches, including those that begin in the line before or end in the next.
fn highlight(
    viewer: &Viewer,
    shown: Line,
    pattern: &Pattern,
    at: Rect,
    style: Style,
    buffer: &mut Buffer,
) {
    let (text, range) = (viewer.text(shown.part), shown.range());
    for found in pattern.all_in(text) {
        let (from, to) = (found.start.max(range.start), found.end.min(range.end));
        let before = text.get(range.start..from).map_or(0, columns);
        let width = text.get(from..to).map_or(0, columns);
        let area = Rect { x: at.x.saturating_add(before), width, ..at };
        buffer.set_style(area.intersection(at), style);
    }
}

/// Draws the rule between header and text. It says what the text was converted from, if that is not
/// obvious, and in which other forms it can be shown.
fn draw_rule(state: &State, viewer: &Viewer, at: Rect, theme: &Theme, buffer: &mut Buffer) {
    let rule = "─".repeat(usize::from(at.width));
    put(buffer, at.as_position(), at.width, &rule, theme.border);
    let from = Position::new(at.x + 2.min(at.width), at.y);
    put(buffer, from, at.width.saturating_sub(2), &about_text(state, viewer), theme.faint);
}

fn about_text(state: &State, viewer: &Viewer) -> String {
    let body = &viewer.message().body;
    if !body.has_text() {
        return " no text ".to_owned();
    }
    if !body.has_html() {
        return String::new();
    }
    let key = |action, words: &str| match state.keymap.key_of(action).as_str() {
        "" => None,
        key => Some(format!("{key} {words}")),
    };
    let browser = key(Action::Browse, "opens it in the browser");
    let about = match viewer.shape() {
        Shape::Html => [Some("shown as text from HTML".to_owned()), browser],
        _ if body.shapes().contains(&Shape::Html) => {
            [key(Action::NextShape, "shows the HTML"), browser]
        }
        _ => [Some("with HTML".to_owned()), browser],
    };
    format!(" {} ", about.into_iter().flatten().collect::<Vec<_>>().join(" · "))
}

/// The columns of the list of attachments.
struct Columns {
    number: usize,
    name: usize,
    kind: usize,
}

impl Columns {
    /// Names and types are cut if there is no room for them; sizes and buttons are not.
    fn of(attachments: &[Attachment], room: u16) -> Self {
        let longest = |of: fn(&Attachment) -> &DisplayText| {
            attachments.iter().map(|one| width(of(one).as_str())).max().unwrap_or(0)
        };
        let number = attachments.len().to_string().len();
        let kind = longest(|one| &one.media_type).min(usize::from(room / 3));
        let others = number + kind + SIZE + SAVE.len() + 5;
        let name = longest(|one| &one.name).min(usize::from(room).saturating_sub(others));
        Self { number, name, kind }
    }

    fn words(&self, attachment: &Attachment, nth: u32) -> String {
        let number = (nth + 1).to_string();
        let (name, kind) = (attachment.name.as_str(), attachment.media_type.as_str());
        let size = octets(attachment.octets);
        let indent = " ".repeat(self.number.saturating_sub(number.len()));
        let (name, kind) = (padded(name, self.name), padded(kind, self.kind));
        format!("{indent}{number} {name}  {kind} {size:>SIZE$} ")
    }
}

fn padded(text: &str, columns: usize) -> String {
    let shown = cut(text, columns);
    let blanks = columns.saturating_sub(width(&shown));
    format!("{shown}{}", " ".repeat(blanks))
}

/// The places of an attachment's name and of its button in its line.
struct Placed {
    words: String,
    button: Rect,
}

fn place(attachments: &[Attachment], nth: u32, at: Rect) -> Option<Placed> {
    let attachment = attachments.get(nth as usize)?;
    let at = behind_name(at);
    let words = Columns::of(attachments, at.width).words(attachment, nth);
    let x = at.x.saturating_add(columns(&words)).min(at.right());
    let button = Rect { x, width: columns(SAVE).min(at.right() - x), ..at };
    Some(Placed { words, button })
}

fn draw_attachment(
    viewer: &Viewer,
    n: u32,
    at: Rect,
    theme: &Theme,
    buffer: &mut Buffer,
    hits: &mut HitMap,
) {
    let Some(placed) = place(&viewer.message().attachments, n, at) else {
        return;
    };
    let name = if n == 0 { "Attached" } else { "" };
    draw_name(name, at, theme, buffer);
    let from = behind_name(at);
    put(buffer, from.as_position(), placed.button.x - from.x, &placed.words, theme.text);
    let style = theme.title.add_modifier(Modifier::UNDERLINED);
    put(buffer, placed.button.as_position(), placed.button.width, SAVE, style);
    hits.click(placed.button, Action::SaveAttachment(n as usize));
}

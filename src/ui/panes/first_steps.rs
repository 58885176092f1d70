//! What a new user should do first. Shown in place of an empty transcript, and over the panes on
//! request; the progress of a mail client's first visit is in the lower border of the transcript.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;

use crate::console::action::Action;
use crate::console::state::State;
use crate::console::state::account::AccountSettings;
use crate::console::state::checklist::Milestone;
use crate::ui::frame::TITLE_ONLY;
use crate::ui::frame::{inside_overlay, overlay, overlay_scroll_bar};
use crate::ui::text::{columns, line, put, wrap_words};
use crate::ui::theme::Theme;

/// Columns and lines of the box over the panes.
const SIZE: (u16, u16) = (74, 19);

/// Transcript lines after which a user no longer needs to be told how to begin.
const NO_BEGINNER: usize = 2_000;

/// A line of it.
struct Told {
    words: String,
    style: Style,
}

/// Draws the first steps over the panes, with `top` as the first line.
pub fn draw_over(state: &State, top: usize, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let inner = overlay(area, buffer, &theme, SIZE, "First steps — Esc closes");
    let lines = wrapped(lines(state, &theme), inner.width);
    overlay_scroll_bar(area, buffer, &theme, SIZE, (top, lines.len()));
    draw_lines(&lines, top, inner, buffer);
}

/// How many lines they can be scrolled, in a box over the panes of `area`.
#[must_use]
pub fn most_scrolled(state: &State, area: Rect) -> usize {
    let inner = inside_overlay(area, SIZE);
    let theme = Theme::of(state.palette);
    let lines = wrapped(lines(state, &theme), inner.width);
    lines.len().saturating_sub(usize::from(inner.height))
}

/// Draws them in place of an empty transcript.
pub fn draw_in_place(state: &State, area: Rect, buffer: &mut Buffer) {
    let theme = Theme::of(state.palette);
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    draw_lines(&wrapped(beginning(state, &theme), inner.width), 0, inner, buffer);
}

/// Draws the progress of the first visit into the lower border of the transcript's `area`, until
/// all of it is done or the user is no longer a beginner.
pub fn draw_strip(state: &State, area: Rect, buffer: &mut Buffer) {
    let is_beginning = state.transcript.ring().len() < NO_BEGINNER;
    if area.height <= TITLE_ONLY || state.checklist.is_complete() || !is_beginning {
        return;
    }
    let theme = Theme::of(state.palette);
    let room = area.width.saturating_sub(4);
    let mut at = Position::new(area.x + 2, area.bottom() - 1);
    for (words, style) in strip(state, room, &theme) {
        let left = (area.right() - 2).saturating_sub(at.x);
        at.x += put(buffer, at, left, &format!(" {words}"), style);
    }
    put(buffer, at, 1, " ", theme.border);
}

/// The progress of the first visit in at most `room` columns: the steps to come have precedence
/// over the names of those that are done.
fn strip(state: &State, room: u16, theme: &Theme) -> Vec<(String, Style)> {
    let fits = |strip: &Vec<(String, Style)>| {
        strip.iter().map(|(words, _)| columns(words) + 1).sum::<u16>() <= room
    };
    let whole: Vec<_> = state
        .checklist
        .milestones()
        .iter()
        .map(|&one| ticked(state, one, one.short_name(), theme))
        .collect();
    if fits(&whole) {
        return whole;
    }
    let brief = |one: Milestone| {
        let name = one.short_name();
        name.split(' ').next().unwrap_or(name)
    };
    let brief_all: Vec<_> = state
        .checklist
        .milestones()
        .iter()
        .map(|&one| ticked(state, one, brief(one), theme))
        .collect();
    if fits(&brief_all) {
        return brief_all;
    }
    let reached = state
        .checklist
        .milestones()
        .iter()
        .copied()
        .filter(|one| state.checklist.has(*one))
        .count();
    let to_come =
        state.checklist.milestones().iter().copied().filter(|one| !state.checklist.has(*one));
    let to_come = to_come.map(|one| ticked(state, one, brief(one), theme));
    let mut strip = vec![("✓".repeat(reached), theme.good)];
    strip.extend(to_come);
    strip
}

fn ticked(state: &State, milestone: Milestone, name: &str, theme: &Theme) -> (String, Style) {
    if state.checklist.has(milestone) {
        (format!("✓ {name}"), theme.good)
    } else {
        (format!("☐ {name}"), theme.faint)
    }
}

/// The lines, broken at blanks if they are longer than `most` columns. Continuation lines are
/// indented to the words after the number of the step.
fn wrapped(lines: Vec<Told>, most: u16) -> Vec<Told> {
    let wrapped = |Told { words, style }: Told| {
        let gutter = if words.get(1..3) == Some("  ") { 3 } else { 0 };
        let (step, rest) = words.split_at(gutter);
        let room = usize::from(most).saturating_sub(gutter).max(1);
        let told = |(n, range): (usize, Range<usize>)| {
            let before = if n == 0 { step.to_owned() } else { " ".repeat(gutter) };
            let rest = rest.get(range).unwrap_or_default().trim_end();
            Told { words: before + rest, style }
        };
        wrap_words(rest, room).into_iter().enumerate().map(told).collect::<Vec<_>>()
    };
    lines.into_iter().flat_map(wrapped).collect()
}

fn draw_lines(lines: &[Told], top: usize, area: Rect, buffer: &mut Buffer) {
    for (n, told) in lines.iter().skip(top).enumerate() {
        let Some(at) = line(area, n) else { return };
        put(buffer, at.as_position(), at.width, &told.words, told.style);
    }
}

fn lines(state: &State, theme: &Theme) -> Vec<Told> {
    let mut lines = beginning(state, theme);
    let blank = Told { words: String::new(), style: theme.text };
    lines.push(blank);
    lines.push(Told {
        words: "How far Thunderbird is, as the wire tells:".into(),
        style: theme.title,
    });
    for &milestone in state.checklist.milestones() {
        let (words, style) = ticked(state, milestone, milestone.name(), theme);
        lines.push(Told { words: format!("  {words}{}", remark(milestone)), style });
    }
    lines
}

const fn remark(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::EhloRefused => " (as it must be here: it says HELO next)",
        Milestone::Stored => " (synced to the disk before the 250)",
        _ => "",
    }
}

fn beginning(state: &State, theme: &Theme) -> Vec<Told> {
    let key = |action| state.keymap.key_of(action);
    let text = |words: String| Told { words, style: theme.text };
    let new_mailbox = key(Action::NewMailbox);
    let mut lines = vec![match first_user(state) {
        None => Told {
            words: match &state.made {
                None => {
                    format!("1  There is no mailbox yet: {new_mailbox} creates one.")
                }
                Some(directory) => format!(
                    "1  {directory} was made and is empty: {new_mailbox} makes the first mailbox."
                ),
            },
            style: theme.notice,
        },
        Some(user) => {
            text(format!("1  {user} can receive mail; {new_mailbox} in pane 3 makes another."))
        }
    }];
    lines.extend([
        text(format!(
            "2  {} sends a test message: watch the conversation here.",
            key(Action::Compose)
        )),
        text("3  Thunderbird: a new account, set up by hand, with".into()),
    ]);
    lines.extend(account(state).map(|words| Told { words, style: theme.good }));
    lines.extend(of_programs(state).into_iter().map(text));
    lines.push(Told {
        words: format!(
            "{} has all keys, {} commands; {} shows this again.",
            key(Action::Help),
            key(Action::CommandLine),
            key(Action::FirstSteps)
        ),
        style: theme.faint,
    });
    lines
}

fn first_user(state: &State) -> Option<&str> {
    let mut users = state.mailboxes.items().iter().filter(|row| !row.is_queue());
    users.next().map(|row| row.name.as_str())
}

/// The settings that Thunderbird asks for.
fn account(state: &State) -> [String; 5] {
    let (pop3, smtp) = (state.pop3_account(), state.smtp_account());
    let wide = usize::from(columns(&pop3.port).max(columns(&smtp.port)).max(4));
    let row = |server, port: &str, security, authentication| {
        format!("   {server:<14}  {port:<wide$}  {security:<8}  {authentication}")
    };
    let of = |server, account: &AccountSettings| {
        row(server, &account.port, account.security, account.authentication)
    };
    let user = first_user(state).unwrap_or("NAME");
    [
        row("server", "port", "security", "authentication"),
        of("POP3 localhost", &pop3),
        of("SMTP localhost", &smtp),
        format!("   address {user}@{}", state.domain),
        format!("   user {user}, {}", password_of(user, state)),
    ]
}

/// What a program is told that sends mail, and whom clients have to trust.
fn of_programs(state: &State) -> Vec<String> {
    let user = first_user(state).unwrap_or("NAME");
    let is_own = state.have_own_passwords.iter().any(|own| own.as_str() == user);
    let password = if is_own { "PASSWORD" } else { state.password.as_str() };
    let program = state.smtp_url(user, password).map(|url| format!("4  A program: {url}"));
    let trust = state.offers_tls().then(|| {
        "   TLS: mailconsole ca install makes clients trust our certificate, mailconsole ca env \
         single programs"
            .to_owned()
    });
    program.into_iter().chain(trust).collect()
}

/// A password of one's own is not shown: whoever has set it knows it.
fn password_of(user: &str, state: &State) -> String {
    if state.have_own_passwords.iter().any(|own| own.as_str() == user) {
        return "the password set for this user".to_owned();
    }
    format!("password {}", state.password)
}

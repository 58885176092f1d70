//! Renders HTML as text: paragraphs, lists, tables with aligned columns, and numbered links that
//! are listed at the end. One pass; broken markup is shown rather than swallowed.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::mem;

use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::add_html_token;
use memchr::memmem;
use unicode_width::UnicodeWidthStr;

/// The most nested tables; deeper ones are shown without their cells.
const TABLES_MOST: usize = 20;

/// The greatest width of a table whose columns are aligned.
const TABLE_COLUMNS: usize = 100;

/// The most rows of a table whose columns are aligned.
const TABLE_ROWS: usize = 2_000;

/// The deepest nesting of lists and quotations that is indented.
const INDENTED_MOST: usize = 8;

/// The most octets of a link's address.
const ADDRESS_MOST: usize = 8 * 1024;

/// The most links of a text.
const LINKS_MOST: usize = 10_000;

/// The addresses of the links of a text, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Links {
    addresses: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Links {
    /// A line for each link, to follow the text.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().zip(1..).map(|(address, number)| format!("[{number}] {address}"))
    }

    fn number(&mut self, address: &str) -> Option<usize> {
        if let Some(number) = self.numbers.get(address) {
            return Some(*number);
        }
        if self.addresses.len() >= LINKS_MOST {
            return None;
        }
        self.addresses.push(address.to_owned());
        let number = self.addresses.len();
        self.numbers.insert(address.to_owned(), number);
        Some(number)
    }
}

/// Whether the input is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// The input is complete.
    Whole,
    /// The input was cut: an element without an end may have it further on.
    Beginning,
}

/// Renders HTML as text; adds its links to `links`.
#[must_use]
pub(super) fn text(html: &str, extent: Extent, links: &mut Links) -> String {
    let mut renderer = Renderer::new(html, extent, links);
    renderer.run();
    renderer.finish()
}

/// What an HTML text leads to, in the order of the text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// The address of a link.
    Address(String),
    /// Text between tags, which may hold addresses.
    Text(String),
}

/// The addresses of links, and the text around them, each to `found`. What is not shown (comments,
/// scripts, style sheets) leads nowhere.
pub(super) fn leads(html: &str, mut found: impl FnMut(Lead)) {
    let mut none = Links::default();
    let mut renderer = Renderer::new(html, Extent::Whole, &mut none);
    while renderer.at < html.len() {
        let rest = renderer.rest();
        let text = rest.find('<').unwrap_or(rest.len());
        if text > 0 {
            renderer.at += text;
            found(Lead::Text(with_characters(rest.get(..text).unwrap_or_default())));
            continue;
        }
        match renderer.markup() {
            Markup::Tag(Tag { name, is_end: false, attributes }) => match name.as_str() {
                "a" | "area" => {
                    if let Some(address) = attribute(attributes, "href") {
                        found(Lead::Address(address));
                    }
                }
                "script" | "style" | "template" => renderer.skip_content(&name),
                _ => {}
            },
            Markup::Text => renderer.at += 1,
            _ => {}
        }
    }
}

/// The charset declared in the HTML itself, which counts only if no header declares one.
#[must_use]
pub(super) fn own_charset(html: &[u8]) -> Option<String> {
    /// The octets in which browsers look for the declaration.
    const LOOKED_AT: usize = 1024;
    let beginning = html.get(..LOOKED_AT).unwrap_or(html).to_ascii_lowercase();
    let found = memmem::find(&beginning, b"charset=")?;
    let value = beginning.get(found + "charset=".len()..)?;
    let value = value.trim_ascii_start();
    let value = value.strip_prefix(b"\"").or(value.strip_prefix(b"'")).unwrap_or(value);
    let is_of_name = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_:.".contains(octet);
    let name: Vec<u8> = value.iter().copied().take_while(is_of_name).collect();
    String::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// Text being laid out in lines.
#[derive(Debug, Default)]
struct Flow {
    text: String,
    /// Line ends to write before the next piece.
    breaks: u8,
    /// Whether a blank must be written before the next piece.
    has_space: bool,
    quotes: usize,
    indent: usize,
    /// The list marker of the next line.
    marker: Option<String>,
}

impl Flow {
    /// Writes the pending line ends, blank, quotation marks, indentation and marker.
    fn begin(&mut self) {
        let is_new_line = self.text.is_empty() || self.breaks > 0;
        if !is_new_line {
            if mem::take(&mut self.has_space) {
                self.text.push(' ');
            }
            return;
        }
        if !self.text.is_empty() {
            (0..self.breaks).for_each(|_| self.text.push('\n'));
        }
        (self.breaks, self.has_space) = (0, false);
        self.text.push_str(&"> ".repeat(self.quotes.min(INDENTED_MOST)));
        let marker = self.marker.take().unwrap_or_default();
        let indent = self.indent.min(2 * INDENTED_MOST);
        let indent = if marker.is_empty() { indent } else { indent.saturating_sub(2) };
        self.text.push_str(&" ".repeat(indent));
        self.text.push_str(&marker);
    }

    fn put(&mut self, piece: &str) {
        self.begin();
        self.text.push_str(piece);
    }

    fn put_line(&mut self, line: &str) {
        self.break_line(1);
        self.put(line);
        self.break_line(1);
    }

    fn break_line(&mut self, breaks: u8) {
        self.breaks = self.breaks.max(breaks);
        self.has_space = false;
    }

    /// Adds a line end, up to a few.
    fn break_again(&mut self) {
        self.breaks = (self.breaks + 1).min(3);
        self.has_space = false;
    }
}

/// An open table.
#[derive(Debug, Default)]
struct Table {
    rows: Vec<Vec<String>>,
    /// The text around the table, while a cell is being read.
    around: Option<Flow>,
}

/// An open link.
struct Anchor {
    address: String,
    /// Where its text begins, and within how many tables.
    start: usize,
    tables: usize,
}

/// What a `<` begins.
enum Markup<'a> {
    Tag(Tag<'a>),
    /// Markup that is not shown.
    Passed,
    /// Not markup: ordinary text.
    Text,
}

struct Tag<'a> {
    name: String,
    is_end: bool,
    attributes: &'a str,
}

struct Renderer<'a> {
    html: &'a str,
    at: usize,
    extent: Extent,
    links: &'a mut Links,
    flow: Flow,
    tables: Vec<Table>,
    /// The number of open tables beyond the nesting limit.
    ignored_tables: usize,
    /// For each open list, the number of its last item if its items are numbered.
    lists: Vec<Option<u32>>,
    anchor: Option<Anchor>,
    preformatted: usize,
    /// End markers that do not occur in the rest. Without this list, each search for one of them
    /// would read all of the rest again: quadratic time.
    endless: Vec<String>,
}

impl<'a> Renderer<'a> {
    fn new(html: &'a str, extent: Extent, links: &'a mut Links) -> Self {
        Self {
            html,
            at: 0,
            extent,
            links,
            flow: Flow::default(),
            tables: Vec::new(),
            ignored_tables: 0,
            lists: Vec::new(),
            anchor: None,
            preformatted: 0,
            endless: Vec::new(),
        }
    }

    fn run(&mut self) {
        while self.at < self.html.len() {
            let rest = self.rest();
            let text = rest.find('<').unwrap_or(rest.len());
            if text > 0 {
                self.at += text;
                self.text(rest.get(..text).unwrap_or_default());
                continue;
            }
            match self.markup() {
                Markup::Tag(tag) => self.tag(&tag),
                Markup::Passed => {}
                Markup::Text => {
                    self.at += 1;
                    self.text("<");
                }
            }
        }
    }

    fn finish(mut self) -> String {
        self.end_anchor();
        while !self.tables.is_empty() {
            self.end_table();
        }
        self.flow.text
    }

    fn rest(&self) -> &'a str {
        self.html.get(self.at..).unwrap_or_default()
    }

    /// Parses the markup at the current `<` and moves after it.
    fn markup(&mut self) -> Markup<'a> {
        let rest = self.rest();
        if rest.starts_with("<!--") {
            return self.comment();
        }
        if rest.starts_with("<!") || rest.starts_with("<?") {
            return self.pass(">", "");
        }
        let name = rest.strip_prefix("</").or(rest.strip_prefix('<')).unwrap_or_default();
        if !name.starts_with(|character: char| character.is_ascii_alphabetic()) {
            return Markup::Text;
        }
        let end = match (end_of_tag(rest), self.extent) {
            (Some(end), _) => end,
            // The rest of the tag was cut off.
            (None, Extent::Beginning) if !rest.get(1..).unwrap_or_default().contains('<') => {
                self.at = self.html.len();
                return Markup::Passed;
            }
            (None, _) => return Markup::Text,
        };
        self.at += end + 1;
        let is_end = rest.starts_with("</");
        let content = rest.get(1 + usize::from(is_end)..end).unwrap_or_default();
        let is_of_name = |character: char| !character.is_whitespace() && character != '/';
        let name_end = content.find(|character| !is_of_name(character)).unwrap_or(content.len());
        let (name, attributes) = content.split_at(name_end);
        Markup::Tag(Tag { name: name.to_ascii_lowercase(), is_end, attributes })
    }

    /// A comment that contains the start of another one has lost its end, or is one that only some
    /// programs take for a comment: it ends at the first `>`.
    fn comment(&mut self) -> Markup<'a> {
        let content = self.rest().get("<!--".len()..).unwrap_or_default();
        let to_next = content.find("<!--").and_then(|next| content.get(..next));
        match to_next {
            Some(to_next) if !to_next.contains("-->") && to_next.contains('>') => {
                self.pass(">", "")
            }
            _ => self.pass("-->", "<!--"),
        }
    }

    /// Moves after `end`; if it does not occur, after `beginning`, so that the rest is shown.
    fn pass(&mut self, end: &str, beginning: &str) -> Markup<'a> {
        let found = if self.is_endless(end) { None } else { self.rest().find(end) };
        match (found, self.extent) {
            (Some(found), _) => self.at += found + end.len(),
            (None, Extent::Beginning) => self.at = self.html.len(),
            (None, Extent::Whole) => {
                self.endless.push(end.to_owned());
                if beginning.is_empty() {
                    return Markup::Text;
                }
                self.at += beginning.len();
            }
        }
        Markup::Passed
    }

    fn is_endless(&self, end: &str) -> bool {
        self.endless.iter().any(|one| one == end)
    }

    /// Moves to the end tag of an element whose content is not shown; if there is no end tag, the
    /// content is shown.
    fn skip_content(&mut self, name: &str) {
        let end = format!("</{name}");
        if self.is_endless(&end) {
            return;
        }
        match (find_ignoring_case(self.rest(), &end), self.extent) {
            (Some(found), _) => self.at += found,
            (None, Extent::Beginning) => self.at = self.html.len(),
            (None, Extent::Whole) => self.endless.push(end),
        }
    }

    fn text(&mut self, raw: &str) {
        let text = with_characters(raw);
        if self.preformatted > 0 {
            let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
            if let Some(first) = lines.next().filter(|line| !line.is_empty()) {
                self.flow.put(first);
            }
            for line in lines {
                self.flow.break_again();
                if !line.is_empty() {
                    self.flow.put(line);
                }
            }
            return;
        }
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let word = rest.trim_start();
            if word.len() < rest.len() {
                self.flow.has_space = true;
            }
            let end = word.find(char::is_whitespace).unwrap_or(word.len());
            let (word, behind) = word.split_at(end);
            if !word.is_empty() {
                self.flow.put(word);
            }
            rest = behind;
        }
    }

    fn tag(&mut self, tag: &Tag<'_>) {
        match (tag.name.as_str(), tag.is_end) {
            ("script" | "style" | "title" | "template", false) => self.skip_content(&tag.name),
            ("br", _) => self.flow.break_again(),
            ("hr", _) => self.flow.put_line("────────"),
            ("a", false) => self.begin_anchor(tag),
            ("a", true) => self.end_anchor(),
            ("img", _) => self.image(tag),
            ("pre", is_end) => self.preformatted(is_end),
            ("ul" | "ol", false) => self.begin_list(&tag.name),
            ("ul" | "ol", true) => self.end_list(),
            ("li", false) => self.begin_item(),
            ("blockquote", is_end) => self.quotation(is_end),
            ("table", false) => self.begin_table(),
            ("table", true) => self.end_table(),
            ("tr", is_end) => self.row(is_end),
            ("td" | "th", is_end) => self.cell(is_end),
            ("p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "dl" | "figure", _) => {
                self.flow.break_line(2);
            }
            (
                "div" | "section" | "article" | "header" | "footer" | "main" | "nav" | "aside"
                | "form" | "fieldset" | "address" | "dt" | "dd" | "center" | "li" | "body" | "html"
                | "thead" | "tbody" | "tfoot" | "caption" | "option" | "summary" | "details"
                | "figcaption" | "legend",
                _,
            ) => self.flow.break_line(1),
            _ => {}
        }
    }

    fn begin_anchor(&mut self, tag: &Tag<'_>) {
        self.end_anchor();
        let address = attribute(tag.attributes, "href").unwrap_or_default();
        let address = address.trim();
        let begins = |with: &str| {
            address.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
        };
        // Links within the message, scripts and embedded data lead nowhere else.
        let leads_away = !address.is_empty()
            && address.len() <= ADDRESS_MOST
            && !["#", "javascript:", "data:"].into_iter().any(begins);
        if leads_away {
            let (start, tables) = (self.flow.text.len(), self.tables.len());
            self.anchor = Some(Anchor { address: address.to_owned(), start, tables });
        }
    }

    /// Adds the number of the link, unless its text is its address.
    fn end_anchor(&mut self) {
        let Some(Anchor { address, start, tables }) = self.anchor.take() else { return };
        // If a table has begun or ended since, `start` is an offset in another text.
        let is_here = tables == self.tables.len();
        let shown = self.flow.text.get(start..).filter(|_| is_here).unwrap_or_default();
        if says(shown, &address) {
            return;
        }
        let Some(number) = self.links.number(&address) else { return };
        if shown.trim().is_empty() {
            self.flow.put(&format!("[{number}]"));
        } else {
            let _ = write!(self.flow.text, " [{number}]");
        }
    }

    fn image(&mut self, tag: &Tag<'_>) {
        let words = attribute(tag.attributes, "alt").unwrap_or_default();
        let words: Vec<&str> = words.split_whitespace().collect();
        if !words.is_empty() {
            self.flow.put(&format!("[{}]", words.join(" ")));
        }
    }

    fn preformatted(&mut self, is_end: bool) {
        self.flow.break_line(2);
        if is_end {
            self.preformatted = self.preformatted.saturating_sub(1);
        } else {
            self.preformatted += 1;
            // Browsers ignore a line end right after the tag.
            let line_end = self.rest().len() - self.rest().trim_start_matches(['\r', '\n']).len();
            self.at += line_end.min(2);
        }
    }

    fn begin_list(&mut self, name: &str) {
        self.flow.break_line(if self.lists.is_empty() { 2 } else { 1 });
        self.lists.push((name == "ol").then_some(0));
        self.flow.indent += 2;
    }

    fn end_list(&mut self) {
        if self.lists.pop().is_some() {
            self.flow.break_line(if self.lists.is_empty() { 2 } else { 1 });
            self.flow.indent = self.flow.indent.saturating_sub(2);
        }
    }

    fn begin_item(&mut self) {
        self.flow.break_line(1);
        self.flow.marker = Some(match self.lists.last_mut() {
            Some(Some(number)) => {
                *number = number.saturating_add(1);
                format!("{number}. ")
            }
            _ => "* ".to_owned(),
        });
    }

    fn quotation(&mut self, is_end: bool) {
        self.flow.break_line(2);
        self.flow.quotes =
            if is_end { self.flow.quotes.saturating_sub(1) } else { self.flow.quotes + 1 };
    }

    fn begin_table(&mut self) {
        self.flow.break_line(1);
        if self.tables.len() < TABLES_MOST {
            self.tables.push(Table::default());
        } else {
            self.ignored_tables += 1;
        }
    }

    fn end_table(&mut self) {
        self.flow.break_line(1);
        if self.ignored_tables > 0 {
            self.ignored_tables -= 1;
            return;
        }
        self.end_cell();
        if let Some(table) = self.tables.pop() {
            lay_out(table.rows, &mut self.flow);
        }
    }

    fn row(&mut self, is_end: bool) {
        if self.ignored_tables > 0 || self.tables.is_empty() {
            self.flow.break_line(1);
            return;
        }
        self.end_cell();
        if let Some(table) = self.tables.last_mut().filter(|_| !is_end) {
            table.rows.push(Vec::new());
        }
    }

    fn cell(&mut self, is_end: bool) {
        if self.ignored_tables > 0 || self.tables.is_empty() {
            self.flow.break_line(1);
            return;
        }
        self.end_cell();
        if let Some(table) = self.tables.last_mut().filter(|_| !is_end) {
            if table.rows.is_empty() {
                table.rows.push(Vec::new());
            }
            table.around = Some(mem::take(&mut self.flow));
        }
    }

    fn end_cell(&mut self) {
        let Some(table) = self.tables.last_mut() else { return };
        let Some(around) = table.around.take() else { return };
        let cell = mem::replace(&mut self.flow, around);
        if let Some(row) = table.rows.last_mut() {
            row.push(cell.text);
        }
    }
}

/// Lays out a table: with aligned columns if they are narrow, or else each row with two blanks
/// between its cells, or with its cells in separate lines if they have several lines.
fn lay_out(mut rows: Vec<Vec<String>>, flow: &mut Flow) {
    rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
    let widths = column_widths(&rows);
    for row in rows {
        match &widths {
            Some(widths) => flow.put_line(padded(&row, widths).trim_end()),
            None => put_row(&row, flow),
        }
    }
}

fn put_row(row: &[String], flow: &mut Flow) {
    let cells: Vec<&str> = row.iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
    if cells.iter().any(|cell| cell.contains('\n')) {
        cells.iter().flat_map(|cell| cell.split('\n')).for_each(|line| {
            if line.is_empty() {
                flow.break_again();
            } else {
                flow.put_line(line);
            }
        });
    } else {
        flow.put_line(&cells.join("  "));
    }
}

/// The widths of a table's columns; `None` if the table should not be aligned.
fn column_widths(rows: &[Vec<String>]) -> Option<Vec<usize>> {
    if rows.len() < 2
        || rows.len() > TABLE_ROWS
        || rows.iter().flatten().any(|cell| cell.contains('\n'))
    {
        return None;
    }
    let mut widths = Vec::new();
    for row in rows.iter().filter(|row| row.len() > 1) {
        widths.resize(widths.len().max(row.len()), 0);
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = (*widest).max(cell.width());
        }
    }
    let shown = widths.iter().filter(|&&width| width > 0).count();
    let all: usize = widths.iter().sum::<usize>() + 2 * shown.saturating_sub(1);
    (shown > 1 && all <= TABLE_COLUMNS).then_some(widths)
}

fn padded(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, &width) in row.iter().zip(widths).filter(|(_, width)| **width > 0) {
        line.push_str(cell);
        line.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
    }
    line
}

/// Whether the text of a link is its address, apart from scheme and final slash.
fn says(shown: &str, address: &str) -> bool {
    fn bare(text: &str) -> &str {
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let text = text.strip_prefix("mailto:").unwrap_or(text);
        text.trim_end_matches('/')
    }
    bare(shown).eq_ignore_ascii_case(bare(address))
}

/// The end of the tag at the beginning of `html`. A `>` within quotes does not end it, unless a
/// quote is missing, which shows by a tag inside the quotes. A tag that does not end before the
/// next one is not a tag.
fn end_of_tag(html: &str) -> Option<usize> {
    let octets = html.as_bytes();
    let mut quote = None;
    let mut last = b'<';
    for (at, &octet) in octets.iter().enumerate().skip(1) {
        match quote {
            Some(mark) if octet == mark => quote = None,
            Some(_) if octet == b'<' && begins_tag(octets, at + 1) => break,
            None if octet == b'>' => return Some(at),
            None if octet == b'<' => return None,
            None if matches!(octet, b'"' | b'\'') && last == b'=' => quote = Some(octet),
            _ => {}
        }
        if !octet.is_ascii_whitespace() {
            last = octet;
        }
    }
    let end = html.get(1..)?.find(['<', '>'])? + 1;
    (octets.get(end) == Some(&b'>')).then_some(end)
}

fn begins_tag(octets: &[u8], at: usize) -> bool {
    octets.get(at).is_some_and(|octet| octet.is_ascii_alphabetic() || *octet == b'/')
}

/// The value of an attribute, with character references decoded.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        rest = rest
            .trim_start_matches(|character: char| character.is_whitespace() || character == '/');
        if rest.is_empty() {
            return None;
        }
        let end =
            rest.find(|character: char| character.is_whitespace() || "=/".contains(character));
        let (this, behind) =
            rest.split_at(end.unwrap_or(rest.len()).max(usize::from(rest.starts_with('='))));
        let behind = behind.trim_start();
        let Some(value) = behind.strip_prefix('=').map(str::trim_start) else {
            rest = behind;
            continue;
        };
        let (value, behind) = match value.chars().next() {
            Some(mark @ ('"' | '\'')) => {
                let value = value.get(1..).unwrap_or_default();
                value.split_once(mark).unwrap_or((value, ""))
            }
            _ => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        if this.eq_ignore_ascii_case(name) {
            return Some(with_characters(value));
        }
        rest = behind;
    }
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    let octets = text.as_bytes();
    let is_here = |at: &usize| {
        octets
            .get(*at..at + word.len())
            .is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
    };
    // Only end tags are searched, so the fast search for `</` finds all candidates.
    memmem::find_iter(octets, b"</").find(is_here)
}

/// Decodes character references and removes invisible characters, with which senders pad the
/// beginnings of their messages.
fn with_characters(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(reference) = rest.find('&') {
        let (before, behind) = rest.split_at(reference);
        text.push_str(before);
        let length = push_character(behind, &mut text);
        if length == 0 {
            text.push('&');
        }
        rest = behind.get(length.max(1)..).unwrap_or_default();
    }
    text.push_str(rest);
    if text.contains(is_invisible) {
        text.retain(|character| !is_invisible(character));
    }
    text
}

/// Decodes the character reference at the beginning of `text`; returns its length, or 0 if there is
/// none.
fn push_character(text: &str, out: &mut String) -> usize {
    /// References that browsers accept without a semicolon.
    const OPEN: [&str; 7] = ["amp", "lt", "gt", "quot", "nbsp", "copy", "reg"];
    /// Slightly longer than the longest name in HTML.
    const NAME_MOST: usize = 32;
    let name = text.get(1..).unwrap_or_default();
    let is_of_name = |character: char| character.is_ascii_alphanumeric() || character == '#';
    let end = name.find(|character| !is_of_name(character)).unwrap_or(name.len());
    let Some(name) = name.get(..end).filter(|name| !name.is_empty() && name.len() <= NAME_MOST)
    else {
        return 0;
    };
    let has_end = text.get(1 + end..).is_some_and(|behind| behind.starts_with(';'));
    if !has_end && !OPEN.contains(&name) && !name.starts_with('#') {
        return 0;
    }
    let length = 1 + end + usize::from(has_end);
    if let Some(character) = windows_character(name) {
        out.push_str(&character);
        return length;
    }
    let reference = format!("&{name};");
    let before = out.len();
    add_html_token(out, reference.as_bytes(), false);
    if out.get(before..) == Some(reference.as_str()) {
        out.truncate(before);
        return 0;
    }
    length
}

/// Numeric references to C1 control characters mean Windows-1252 in HTML.
fn windows_character(name: &str) -> Option<String> {
    let number = name.strip_prefix('#')?;
    let number = match number.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u8::from_str_radix(hexadecimal, 16),
        None => number.parse(),
    };
    let number = number.ok().filter(|number| (0x80..0xa0).contains(number))?;
    charset_decoder(b"windows-1252").map(|decode| decode(&[number]))
}

fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(html: &str) -> String {
        let mut links = Links::default();
        let mut text = text(html, Extent::Whole, &mut links);
        for line in links.lines() {
            text.push('\n');
            text.push_str(&line);
        }
        text
    }

    #[track_caller]
    fn is_read(html: &str, text: &str) {
        assert_eq!(read(html), text, "{html}");
    }

    #[test]
    fn paragraphs_and_lines() {
        is_read("<p>one\n  two</p><p>three<br>four</p>five", "one two\n\nthree\nfour\n\nfive");
        is_read("<div>one<div>two</div></div>three", "one\ntwo\nthree");
        is_read("a<b>b</b> c<br><br>d", "ab c\n\nd");
        is_read("<h1>Title</h1>text<hr>more", "Title\n\ntext\n────────\nmore");
        is_read("<pre>\n  a\n\n   b</pre>c", "  a\n\n   b\n\nc");
        is_read("<blockquote>one<br>two</blockquote>three", "> one\n> two\n\nthree");
    }

    #[test]
    fn lists_have_marks() {
        is_read(
            "<ul><li>one<li>two<ol><li>a</li><li>b</li></ol></ul>x",
            "* one\n* two\n  1. a\n  2. b\n\nx",
        );
    }

    #[test]
    fn what_is_not_meant_to_be_read_is_not_shown() {
        is_read("<head><title>T</title><style>p{}</style></head><script>x<y</script>text", "text");
        is_read("<!DOCTYPE html><!-- a > b --><?xml x?>te<!---->xt", "text");
        is_read("pre\u{200c}&zwnj;&#8203;header", "preheader");
    }

    #[test]
    fn character_references_are_decoded() {
        is_read("&lt;&amp;&gt; &eacute;&#233;&#xe9; &#150; &copy &nbsp; x", "<&> ééé – © x");
        is_read("AT&T &x; & &; &#x110000; R&D;", "AT&T &x; & &; \u{fffd} R&D;");
    }

    #[test]
    fn cells_are_apart() {
        is_read("<table><tr><td>row 0<td>link</table>", "row 0  link");
        is_read(
            "<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea, green</td><td>2.50</td></tr>\
             <tr><td colspan=2>a line as long as it likes to be</td></tr></table>end",
            "Item        Price\nTea, green  2.50\na line as long as it likes to be\nend",
        );
        is_read("<table><tr><td>a<td><td>b<tr><td>cc<td><td>d</table>", "a   b\ncc  d");
        is_read(
            "<table><tr><td><p>one</p><p>two</p></td><td>three</td></tr></table>",
            "one\n\ntwo\nthree",
        );
        is_read("<table><tr><td><table><tr><td>a<td>b</table></td></tr></table>c", "a  b\nc");
        is_read("<td>a<td>b<tr>c", "a\nb\nc");
    }

    #[test]
    fn links_have_marks_and_are_listed() {
        is_read(
            "see <a href=\"https://a.example/?x=1&amp;y\">the page</a>, <a href='https://b.example'>b</a> \
             and <a href=https://a.example/?x=1&y>it again</a>.",
            "see the page [1], b [2] and it again [1].\n[1] https://a.example/?x=1&y\n[2] https://b.example",
        );
        is_read(
            "<a href=https://a.example/>https://a.example</a> <a href=mailto:a@b.example>a@b.example</a> <a href=#x>top</a> <a>x</a>",
            "https://a.example a@b.example top x",
        );
        is_read(
            "<a href=https://a.example><img src=x></a> <a href=https://a.example><img alt='Our  logo'></a>",
            "[1] [Our logo] [1]\n[1] https://a.example",
        );
    }

    #[test]
    fn what_is_broken_is_shown() {
        is_read("<p>one</p><style>two", "one\n\ntwo");
        is_read("one<!-- two <b>three</b>", "one two three");
        is_read("<p one two <b>three</b>", "<p one two three");
        is_read("a < b, <3 and <>", "a < b, <3 and <>");
        is_read(
            "<a href=\"https://a.example>one</a> two \"three\" <b>four</b>",
            "one [1] two \"three\" four\n[1] https://a.example",
        );
        is_read("one <b", "one <b");
        is_read("<table><tr><td>one", "one");
        is_read("</p></td></table></ul></a>one", "one");
    }

    #[test]
    fn a_charset_may_be_in_the_html() {
        let own = |html: &str| own_charset(html.as_bytes());
        assert_eq!(own("<META charset=\"ISO-8859-2\">").as_deref(), Some("iso-8859-2"));
        let meta = "<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>";
        assert_eq!(own(meta).as_deref(), Some("koi8-r"));
        assert_eq!(own("<p>charset= </p>"), None);
    }

    #[test]
    fn tables_nested_deeper_than_anybody_reads_are_passed_over() {
        let html = format!("{}x{}", "<table><tr><td>".repeat(5_000), "</table>".repeat(5_000));
        is_read(&html, "x");
    }

    fn pieces() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "<p>",
            "</p>",
            "<b",
            ">",
            "<a href=\"https://a.example\">",
            "</a>",
            "<table>",
            "<tr>",
            "<td>",
            "</td>",
            "</table>",
            "<ul>",
            "<li>",
            "</ul>",
            "<pre>",
            "</pre>",
            "<style>",
            "</style>",
            "<!--",
            "-->",
            "&amp;",
            "&#27;",
            "&",
            "\"",
            "'",
            "=",
            "\n",
            " ",
            "word",
            "é",
            "日本",
            "<blockquote>",
            "<br>",
            "<img alt=x>",
        ]);
        prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn no_html_makes_it_panic_or_grow(html in pieces()) {
            let text = text(&html, Extent::Whole, &mut Links::default());
            prop_assert!(text.len() <= 40 * html.len() + 40);
        }

        #[test]
        fn one_octet_that_is_lost_loses_no_word_elsewhere(
            lines in prop::collection::vec("[a-z]{4,9}", 3..9),
            lost in any::<prop::sample::Index>(),
        ) {
            let html: Vec<String> = lines.iter().enumerate().map(|(n, word)| match n % 4 {
                0 => format!("<p class=\"x\">{word}</p>\n"),
                1 => format!("<table><tr><td>{word}</td></tr></table>\n"),
                2 => format!("<a href=\"https://a.example/{n}\">{word}</a>\n"),
                _ => format!("<!-- a comment --><div>{word}</div>\n"),
            }).collect();
            let mut damaged = html.concat();
            let at = lost.index(damaged.len());
            damaged.remove(at);
            let mut from = 0;
            let text = text(&damaged, Extent::Whole, &mut Links::default());
            for (line, word) in html.iter().zip(&lines) {
                let is_touched = (from..from + line.len()).contains(&at);
                from += line.len();
                prop_assert!(is_touched || text.contains(word.as_str()), "{} of {:?}", text, damaged);
            }
        }
    }
}

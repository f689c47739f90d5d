//! How things look: by their part, in the sixteen colours that every terminal has, or in none.

use ratatui::style::{Color, Modifier, Style};

use crate::model::Severity;

/// A way to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// On a dark ground.
    #[default]
    Dark,
    /// On a light ground.
    Light,
    /// Without colours: bold, dim, underlined, reversed.
    Plain,
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text,
    /// What matters less.
    Faint,
    /// What names other things.
    Label,
    Title,
    /// The line on top.
    Bar,
    /// The page one is on.
    Tab,
    /// The row chosen.
    Chosen,
    Marked,
    /// A secret, redacted.
    Secret,
    /// The place that leaks, in a message.
    Leak,
    /// A secret that is revealed.
    Revealed,
    Key,
    Good,
    Warning,
    Fault,
    Leaks,
    Traffic,
}

impl Theme {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Plain,
            Self::Plain => Self::Dark,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Plain => "none",
        }
    }

    pub(super) fn style(self, part: Part) -> Style {
        match self {
            Self::Dark => dark(part),
            Self::Light => light(part),
            Self::Plain => plain(part),
        }
    }

    pub(super) fn severity(self, level: Severity) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        match (self, level) {
            (Self::Plain, Severity::Critical) => bold.add_modifier(Modifier::REVERSED),
            (Self::Plain, Severity::High) => bold,
            (Self::Plain, Severity::Info) => Style::new().add_modifier(Modifier::DIM),
            (Self::Plain, _) => Style::new(),
            (_, Severity::Critical) => bold.fg(Color::White).bg(Color::Red),
            (_, Severity::High) => bold.fg(Color::Red),
            (Self::Dark, Severity::Medium) => bold.fg(Color::Yellow),
            (Self::Dark, Severity::Low) => Style::new().fg(Color::Cyan),
            (Self::Light, Severity::Medium) => bold.fg(Color::Magenta),
            (Self::Light, Severity::Low) => Style::new().fg(Color::Blue),
            (_, Severity::Info) => self.style(Part::Faint),
        }
    }
}

fn dark(part: Part) -> Style {
    let (style, bold) = (Style::new(), Style::new().add_modifier(Modifier::BOLD));
    match part {
        Part::Text => style,
        Part::Faint => style.fg(Color::DarkGray),
        Part::Label => style.fg(Color::Gray),
        Part::Title => bold,
        Part::Bar => style.fg(Color::Black).bg(Color::Gray),
        Part::Tab => bold.fg(Color::Black).bg(Color::Cyan),
        Part::Chosen => style.bg(Color::Blue).fg(Color::White),
        Part::Marked => bold.fg(Color::Magenta),
        Part::Secret => style.fg(Color::Yellow),
        Part::Leak => bold.fg(Color::Black).bg(Color::Yellow),
        Part::Revealed => bold.fg(Color::White).bg(Color::Magenta),
        Part::Key => bold.fg(Color::Cyan),
        Part::Good => style.fg(Color::Green),
        Part::Warning => bold.fg(Color::Yellow),
        Part::Fault => bold.fg(Color::Red),
        Part::Leaks => style.fg(Color::Red),
        Part::Traffic => style.fg(Color::Green),
    }
}

fn light(part: Part) -> Style {
    let (style, bold) = (Style::new(), Style::new().add_modifier(Modifier::BOLD));
    match part {
        Part::Text => style.fg(Color::Black),
        Part::Faint => style.fg(Color::DarkGray),
        Part::Label => style.fg(Color::DarkGray),
        Part::Title => bold.fg(Color::Black),
        Part::Bar => style.fg(Color::White).bg(Color::DarkGray),
        Part::Tab => bold.fg(Color::White).bg(Color::Blue),
        Part::Chosen => style.fg(Color::Black).bg(Color::Cyan),
        Part::Marked => bold.fg(Color::Magenta),
        Part::Secret => style.fg(Color::Blue),
        Part::Leak => bold.fg(Color::Black).bg(Color::Yellow),
        Part::Revealed => bold.fg(Color::White).bg(Color::Magenta),
        Part::Key => bold.fg(Color::Blue),
        Part::Good => style.fg(Color::Green),
        Part::Warning => bold.fg(Color::Magenta),
        Part::Fault => bold.fg(Color::Red),
        Part::Leaks => style.fg(Color::Red),
        Part::Traffic => style.fg(Color::Green),
    }
}

fn plain(part: Part) -> Style {
    let style = Style::new();
    match part {
        Part::Text | Part::Label | Part::Secret | Part::Good | Part::Leaks | Part::Traffic => style,
        Part::Faint => style.add_modifier(Modifier::DIM),
        Part::Title | Part::Key | Part::Warning => style.add_modifier(Modifier::BOLD),
        Part::Bar | Part::Chosen => style.add_modifier(Modifier::REVERSED),
        Part::Tab | Part::Fault | Part::Leak => style.add_modifier(Modifier::BOLD | Modifier::REVERSED),
        Part::Marked => style.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
        Part::Revealed => style.add_modifier(Modifier::REVERSED | Modifier::UNDERLINED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_there_is_none() {
        let parts =
            [Part::Text, Part::Faint, Part::Chosen, Part::Leak, Part::Fault, Part::Tab, Part::Revealed];
        let parts = parts.map(plain);
        let levels = Severity::ALL.map(|level| Theme::Plain.severity(level));
        for style in parts.into_iter().chain(levels) {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn sixteen_colours_are_enough() {
        for theme in [Theme::Dark, Theme::Light] {
            for level in Severity::ALL {
                let style = theme.severity(level);
                for colour in [style.fg, style.bg].into_iter().flatten() {
                    assert!(!matches!(colour, Color::Rgb(..) | Color::Indexed(_)));
                }
            }
        }
        assert_eq!(Theme::Dark.next().next().next(), Theme::Dark);
    }
}

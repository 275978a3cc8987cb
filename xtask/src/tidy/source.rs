//! Decides what in a Rust file is a word, a text, a comment or a sign, so that a rule about texts
//! never trips over a comment. Knows no rule and does not need the file to compile.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier, a keyword or a number.
    Word,
    /// A string literal; the token's text is what stands between its quotes.
    Text,
    /// Any other character.
    Sign,
}

/// A piece of Rust source with the line it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    /// Whether it is this word or sign.
    pub(crate) fn is(&self, text: &str) -> bool {
        self.kind != Kind::Text && self.text == text
    }
}

/// All tokens of a file; comments and spaces are left out.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut reader = Reader { chars: source.chars().collect(), at: 0, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = reader.next() {
        tokens.push(token);
    }
    tokens
}

/// The tokens of a file without its test modules and test functions.
pub(crate) fn shipped(source: &str) -> Vec<Token> {
    let all = tokens(source);
    let mut kept = Vec::with_capacity(all.len());
    let mut at = 0;
    while at < all.len() {
        match attribute_end(&all, at) {
            Some(end) if is_of_tests(&all[at..end]) => at = item_end(&all, end),
            Some(end) => {
                kept.extend_from_slice(&all[at..end]);
                at = end;
            }
            None => {
                kept.push(all[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// The names of the test functions of a file.
pub(crate) fn test_names(source: &str) -> Vec<String> {
    let all = tokens(source);
    let mut names = Vec::new();
    let mut at = 0;
    let mut marked = false;
    while at < all.len() {
        if let Some(end) = attribute_end(&all, at) {
            let has = |word: &str| all[at..end].iter().any(|token| token.is(word));
            marked |= has("test") && !has("cfg");
            at = end;
            continue;
        }
        if all[at].is("fn") {
            match all.get(at + 1) {
                Some(name) if marked => names.push(name.text.clone()),
                _ => {}
            }
            marked = false;
        } else if all[at].is("mod") {
            marked = false;
        }
        at += 1;
    }
    names
}

/// Where the attribute that begins here ends.
pub(crate) fn attribute_end(all: &[Token], at: usize) -> Option<usize> {
    if !all[at].is("#") {
        return None;
    }
    let open = if all.get(at + 1)?.is("!") { at + 2 } else { at + 1 };
    all.get(open)?.is("[").then(|| closing(all, open))
}

fn is_of_tests(attribute: &[Token]) -> bool {
    attribute.iter().any(|token| token.is("test")) && !attribute.iter().any(|token| token.is("not"))
}

/// Where the item ends whose attributes end here: after its block or its semicolon.
fn item_end(all: &[Token], mut at: usize) -> usize {
    while at < all.len() {
        if let Some(end) = attribute_end(all, at) {
            at = end;
        } else if all[at].is("{") {
            return closing(all, at);
        } else if all[at].is("(") || all[at].is("[") {
            at = closing(all, at);
        } else if all[at].is(";") {
            return at + 1;
        } else {
            at += 1;
        }
    }
    at
}

/// The place after the bracket that closes the one here.
fn closing(all: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate().skip(open) {
        if token.kind != Kind::Sign {
            continue;
        }
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    all.len()
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn next(&mut self) -> Option<Token> {
        loop {
            let c = self.peek(0)?;
            match (c, self.peek(1)) {
                ('/', Some('/')) => self.skip_line(),
                ('/', Some('*')) => self.skip_block(),
                _ if c.is_whitespace() => drop(self.take()),
                _ => return Some(self.token(c)),
            }
        }
    }

    fn token(&mut self, c: char) -> Token {
        let line = self.line;
        let (kind, text) = if c == '"' {
            (Kind::Text, self.text())
        } else if c == '\'' {
            self.quote()
        } else if c.is_alphanumeric() || c == '_' {
            self.word_or_text()
        } else {
            self.take();
            (Kind::Sign, c.to_string())
        };
        Token { kind, text, line }
    }

    fn skip_line(&mut self) {
        while self.take().is_some_and(|c| c != '\n') {}
    }

    fn skip_block(&mut self) {
        let mut depth = 0_usize;
        while let Some(c) = self.take() {
            match (c, self.peek(0)) {
                ('/', Some('*')) => {
                    self.take();
                    depth += 1;
                }
                ('*', Some('/')) => {
                    self.take();
                    depth -= 1;
                    if depth == 0 {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// A text from its opening quote on.
    fn text(&mut self) -> String {
        let mut text = String::new();
        self.take();
        while let Some(c) = self.take() {
            match c {
                '"' => break,
                '\\' => {
                    text.push(c);
                    text.extend(self.take());
                }
                _ => text.push(c),
            }
        }
        text
    }

    /// A raw text from its first `#` or its opening quote on.
    fn raw_text(&mut self) -> String {
        let mut marks = 0;
        while self.peek(0) == Some('#') {
            self.take();
            marks += 1;
        }
        self.take();
        let mut text = String::new();
        while let Some(c) = self.take() {
            if c == '"' && (0..marks).all(|mark| self.peek(mark) == Some('#')) {
                self.at += marks;
                break;
            }
            text.push(c);
        }
        text
    }

    /// A character, which no rule looks at, or a lifetime.
    fn quote(&mut self) -> (Kind, String) {
        self.take();
        if self.peek(0) == Some('\\') {
            self.take();
            self.take();
            while self.take().is_some_and(|c| c != '\'') {}
        } else if self.peek(1) == Some('\'') {
            self.take();
            self.take();
        }
        (Kind::Sign, "'".to_owned())
    }

    fn word_or_text(&mut self) -> (Kind, String) {
        let mut word = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
            self.take();
        }
        match (word.as_str(), self.peek(0), self.peek(1)) {
            ("r" | "br" | "cr", Some('"'), _) | ("r" | "br" | "cr", Some('#'), Some('"' | '#')) => {
                (Kind::Text, self.raw_text())
            }
            ("b" | "c", Some('"'), _) => (Kind::Text, self.text()),
            _ => (Kind::Word, word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let texts = shipped(source).into_iter().filter(|t| t.kind == Kind::Text);
        texts.map(|t| t.text).collect()
    }

    #[test]
    fn texts_are_told_from_comments_characters_and_lifetimes() {
        let source = "// \"no\"\n/* \"no\" /* \"no\" */ */ fn f<'a>(x: &'a str) { ('\"', '\\'', \
                      \"one\", r#\"tw\"o\"#, b\"three\\\"\") }";
        assert_eq!(texts(source), ["one", "tw\"o", "three\\\""]);
    }

    #[test]
    fn tests_are_left_out_and_what_follows_them_is_not() {
        let source = "#[cfg(test)]\nmod tests { fn a() { \"no\"; } }\n#[cfg(test)]\nuse x::{y};\n\
                      #[tokio::test]\nasync fn t() { \"no\" }\n#[cfg(not(test))]\nfn b() { \"yes\" }";
        assert_eq!(texts(source), ["yes"]);
    }

    #[test]
    fn a_token_knows_its_line() {
        let found = tokens("a\n\"x\ny\"\nb");
        assert_eq!(found.iter().map(|t| t.line).collect::<Vec<_>>(), [1, 2, 4]);
    }

    #[test]
    fn only_marked_functions_are_tests() {
        let source = "#[test]\nfn one() {}\nfn two() {}\n#[tokio::test(flavor = \"x\")]\n\
                      #[expect(clippy::x)]\nasync fn three() {}\n#[cfg(test)]\nmod m { fn four() {} }";
        assert_eq!(test_names(source), ["one", "three"]);
    }
}

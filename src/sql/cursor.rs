//! Walking over the tokens of one statement, with one token in sight.

use std::{borrow::Cow, ops::Range};

use super::{
    decode,
    lexer::{Dialect, Lexer, Token, TokenKind},
};

/// A place among the tokens of a statement.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    /// Stands behind `token`.
    lexer: Lexer<'a>,
    token: Token,
}

impl<'a> Cursor<'a> {
    /// At the first token of the text.
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self::behind(Lexer::new(text, dialect))
    }

    /// At the token that comes next.
    pub(super) fn behind(mut lexer: Lexer<'a>) -> Self {
        let token = lexer.token();
        Self { lexer, token }
    }

    /// The kind of the token in sight.
    pub(super) fn kind(&self) -> TokenKind {
        self.token.kind
    }

    /// The bytes of the token in sight.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.lexer.bytes(self.token)
    }

    /// Where the token in sight stands.
    pub(super) fn range(&self) -> Range<usize> {
        self.token.range()
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'a [u8] {
        self.lexer.text()
    }

    /// Is nothing left?
    pub(super) fn done(&self) -> bool {
        self.token.kind == TokenKind::End
    }

    /// Goes on to the next token.
    pub(super) fn advance(&mut self) {
        self.token = self.lexer.token();
    }

    /// Is this keyword in sight?
    pub(super) fn at(&self, keyword: &[u8]) -> bool {
        self.token.kind == TokenKind::Word && decode::is(self.bytes(), keyword)
    }

    /// Is one of these keywords in sight?
    pub(super) fn at_any(&self, keywords: &[&[u8]]) -> bool {
        keywords.iter().any(|keyword| self.at(keyword))
    }

    /// Is this operator in sight?
    pub(super) fn at_operator(&self, operator: &[u8]) -> bool {
        self.token.kind == TokenKind::Operator && self.bytes() == operator
    }

    /// Passes this keyword if it is in sight.
    pub(super) fn eat(&mut self, keyword: &[u8]) -> bool {
        let here = self.at(keyword);
        if here {
            self.advance();
        }
        here
    }

    /// Passes one of these keywords if it is in sight.
    pub(super) fn eat_any(&mut self, keywords: &[&[u8]]) -> bool {
        let here = self.at_any(keywords);
        if here {
            self.advance();
        }
        here
    }

    /// Passes a token of this kind if it is in sight.
    pub(super) fn eat_kind(&mut self, kind: TokenKind) -> bool {
        let here = self.token.kind == kind;
        if here {
            self.advance();
        }
        here
    }

    /// Is a name in sight, quoted or not? Keywords count.
    pub(super) fn at_name(&self) -> bool {
        matches!(
            self.token.kind,
            TokenKind::Word | TokenKind::Quoted | TokenKind::QuotedUnicode
        )
    }

    /// Passes a name.
    pub(super) fn name(&mut self) -> Option<Cow<'a, [u8]>> {
        let name = decode::name(&self.lexer, self.token)?;
        self.advance();
        Some(name)
    }

    /// The string in sight.
    pub(super) fn string(&self) -> Option<Cow<'a, [u8]>> {
        decode::string(&self.lexer, self.token)
    }

    /// Is a string of some form in sight?
    pub(super) fn at_string(&self) -> bool {
        matches!(
            self.token.kind,
            TokenKind::Text
                | TokenKind::TextEscaped
                | TokenKind::TextUnicode
                | TokenKind::TextDollar
        )
    }

    /// Passes a name behind which nothing may stand.
    pub(super) fn last_name(mut self) -> Option<Cow<'a, [u8]>> {
        let name = self.name()?;
        self.done().then_some(name)
    }

    /// Passes everything up to the closing parenthesis of the opening one in sight, and it.
    pub(super) fn skip_parentheses(&mut self) {
        let mut open: usize = 0;
        loop {
            match self.token.kind {
                TokenKind::Open => open += 1,
                TokenKind::Close => open = open.saturating_sub(1),
                TokenKind::End => return,
                _ => {}
            }
            self.advance();
            if open == 0 {
                return;
            }
        }
    }
}

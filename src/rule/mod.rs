//! Rules are data; this room reads them and says what matches.

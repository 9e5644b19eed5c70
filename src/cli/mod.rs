//! Arguments into settings, one file a command, exit codes.

//! A program in free MPS, for other solvers to read.

use std::fmt::Write as _;

use plimsoll_domain::problem::{Problem, Sense};

/// The program as text; columns are `x0`, `x1`, … and rows `r0`, `r1`, … in the program's order.
pub(crate) fn mps(problem: &Problem) -> String {
    let mut text = String::from("NAME joint\nROWS\n N cost\n");
    let mut columns: Vec<Vec<(usize, f64)>> = vec![Vec::new(); problem.variables.len()];
    for (number, row) in problem.constraints.iter().enumerate() {
        let sense = match row.sense {
            Sense::AtMost => 'L',
            Sense::AtLeast => 'G',
            Sense::Equal => 'E',
        };
        let _ = writeln!(text, " {sense} r{number}");
        for (column, amount) in &row.terms {
            columns[*column].push((number, *amount));
        }
    }
    text.push_str("COLUMNS\n");
    let mut whole = false;
    for (number, (variable, terms)) in problem.variables.iter().zip(columns).enumerate() {
        if variable.integer != whole {
            whole = variable.integer;
            let _ = writeln!(text, " M{number} 'MARKER' {}", if whole { "'INTORG'" } else { "'INTEND'" });
        }
        let _ = writeln!(text, " x{number} cost {}", variable.cost);
        for (row, amount) in terms {
            let _ = writeln!(text, " x{number} r{row} {amount}");
        }
    }
    if whole {
        text.push_str(" MEND 'MARKER' 'INTEND'\n");
    }
    let _ = writeln!(text, "RHS\n rhs cost {}", -problem.constant);
    for (number, row) in problem.constraints.iter().enumerate().filter(|(_, row)| row.right != 0.0) {
        let _ = writeln!(text, " rhs r{number} {}", row.right);
    }
    text.push_str("BOUNDS\n");
    for (number, variable) in problem.variables.iter().enumerate() {
        let _ = writeln!(text, " LO bound x{number} {}\n UP bound x{number} {}", variable.lower, variable.upper);
    }
    text.push_str("ENDATA\n");
    text
}

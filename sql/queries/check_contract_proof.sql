-- Asks the planner which rules of a contract the table's own constraints hold: of what they rule out it would read nothing.
explain (format json)
select {questions};

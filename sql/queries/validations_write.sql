-- Keeps what Great Expectations said of a table, or of a day of it.
insert into validations (at, relation, day, is_success, evaluated, unmet, results, seconds, run_id)
values (
    %(at)s, %(relation)s, %(day)s, %(is_success)s, %(evaluated)s, %(unmet)s, %(results)s, %(seconds)s, %(run_id)s
);

-- Writes what is held of an instrument, stream and day.
insert into coverage (
    instrument, stream, day, space, row_count, first_time, last_time, first_sequence, last_sequence, is_declared, covered,
    missing_ids, updated_at
)
values (
    %(instrument)s, %(stream)s, %(day)s, %(space)s, %(row_count)s, %(first_time)s, %(last_time)s, %(first_sequence)s, %(last_sequence)s,
    %(is_declared)s, %(covered)s, %(missing_ids)s, clock_timestamp()
)
on conflict (instrument, stream, day) do update
    set
        space = excluded.space, row_count = excluded.row_count, first_time = excluded.first_time, last_time = excluded.last_time,
        first_sequence = excluded.first_sequence, last_sequence = excluded.last_sequence, is_declared = excluded.is_declared,
        covered = excluded.covered, missing_ids = excluded.missing_ids, updated_at = excluded.updated_at;

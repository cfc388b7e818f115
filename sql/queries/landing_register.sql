-- Enters a verified file, or finds it: a file is its content, its format and what the user said of it.
with entered as (
    insert into landing_files (
        sha256, name, format, given_instrument, given_day, size_bytes, stream, space, time_unit, declared, rows_read, passed_over,
        clock_offset_us, accepted_at
    )
    values (
        %(sha256)s, %(name)s, %(format)s, %(given_instrument)s, %(given_day)s, %(size_bytes)s, %(stream)s, %(space)s, %(time_unit)s,
        daterange(%(declared_from)s::date, %(declared_to)s::date), %(rows_read)s, %(passed_over)s, %(clock_offset_us)s, clock_timestamp()
    )
    on conflict on constraint landing_files_identity do nothing
    returning file_id
)

select entered.file_id from entered
union all
select known.file_id
from landing_files as known
where
    known.sha256 = %(sha256)s and known.format = %(format)s
    and known.given_instrument = %(given_instrument)s and known.given_day = %(given_day)s and known.stream = %(stream)s;

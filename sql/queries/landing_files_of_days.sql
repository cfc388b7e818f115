-- The landed files with rows of some days: those that wait, or all of them where the day is to be read again.
select
    d.day, f.file_id, f.name, f.sha256, f.format, f.given_instrument, f.given_day, f.stream, f.space, f.time_unit, f.clock_offset_us,
    lower(f.declared) as declared_from, upper(f.declared) as declared_to
from landing_days as d
inner join landing_files as f on d.file_id = f.file_id
where d.day = any(%(days)s) and f.stream = any(%(streams)s) and d.is_pending
order by d.day, f.stream = 'corrections', f.file_id;

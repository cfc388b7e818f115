-- The landed files of which refused rows wait, narrowed to an instrument or a reason, with the lines that wait and the days they wait in.
select
    f.file_id, f.name, f.sha256, f.format, f.given_instrument, f.given_day, f.stream, f.space, f.time_unit, f.clock_offset_us,
    lower(f.declared) as declared_from,
    upper(f.declared) as declared_to,
    array_agg(q.line order by q.line) as lines,
    array_agg(distinct q.day order by q.day) as days
from quarantine as q
inner join landing_files as f on q.file_id = f.file_id
where
    q.state = 'quarantined'
    and (%(instrument)s::text is null or q.instrument = %(instrument)s)
    and (%(reason)s::text is null or q.reason = %(reason)s)
group by f.file_id
order by f.file_id;

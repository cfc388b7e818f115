-- What became of a file that is known by its sum: a row for each of its days, none where it never landed.
select
    f.stream,
    d.day,
    coalesce(d.is_pending, false) as is_pending,
    d.refused
from landing_files as f
left join landing_days as d on f.file_id = d.file_id
where f.sha256 = %(sha256)s and f.format = %(format)s and f.given_instrument = %(instrument)s and f.given_day = ''
order by d.day;

-- Days of files that were refused in the last days and still are.
select
    f.name,
    d.day,
    d.refused,
    f.accepted_at
from landing_days as d
inner join landing_files as f on d.file_id = f.file_id
where d.refused is not null and f.accepted_at > %(since)s
order by f.accepted_at desc
limit %(most)s;

-- How many rows of some streams and days wait in quarantine.
select count(*)
from quarantine as q
inner join landing_files as f on q.file_id = f.file_id
where f.stream = any(%(streams)s) and q.day >= %(from_day)s and q.day < %(to_day)s and q.state = 'quarantined';

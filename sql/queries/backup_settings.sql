-- The settings that bound how much a lost server loses, and how much of its disk an absent receiver may take.
select
    name,
    setting::bigint as value -- seconds, and megabytes
from pg_settings
where name in ('archive_timeout', 'max_slot_wal_keep_size')
order by name;

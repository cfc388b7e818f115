-- Lets writers of a partition in again; who moves it still waits, until the transaction ends.
select
    lock_partition(%(relation)s::text, %(partition_start)s::date, false),
    pg_advisory_unlock(hashtextextended(format('partition|%%s|%%s', %(relation)s::text, %(partition_start)s::date), 0));

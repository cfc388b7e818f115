-- Holds the number for the migration of that name, which takes its place.

do $$ begin end $$;

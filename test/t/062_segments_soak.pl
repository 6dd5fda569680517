# Segments in the database, for as long as one likes: see lib/Soak.pm.
use strict;
use warnings FATAL => 'all';
use FindBin;
use lib "$FindBin::RealBin/lib";
use Soak;
use Test::More;

soak();
done_testing();

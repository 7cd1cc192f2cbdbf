"""`python -m cordillera` is the command `cordillera`."""

from cordillera.cli import main

raise SystemExit(main())

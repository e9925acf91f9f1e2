"""From one machine to many: what a million series, a hundred million rows and several processes cost."""

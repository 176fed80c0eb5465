// The program that renders chat templates, as text: Python's -c takes it, so that it needs no place
// on disk. Written by cmake/folders.cmake from chat_template_process.py.
#pragma once

namespace dovetail::model {

extern const char* const kChatTemplateProcess;

}  // namespace dovetail::model
